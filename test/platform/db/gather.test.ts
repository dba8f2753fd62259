import t from 'tap'
import { gather } from '../../../src/platform/db/gather.ts'

/** A statement whose answers the test gives by hand. */
function scene () {
  const sent: Array<{ tenantId: string, keys: string[], answer: (text: string) => void, fail: (error: Error) => void }> = []
  const ask = gather((tenantId, keys) => new Promise<string>((resolve, reject) => { sent.push({ tenantId, keys, answer: resolve, fail: reject }) }))
  return { sent, ask, turn: () => new Promise((resolve) => { setImmediate(resolve) }) }
}

const keysOf = (sent: { keys: string[] }[]) => sent.map(({ keys }) => keys.join())

t.test('what is asked in one turn leaves together, each key once; what is asked while it is under way leaves with the next', async (t) => {
  const { sent, ask, turn } = scene()
  const first = [ask('t', ['a']), ask('t', ['b', 'a'])]
  t.equal(sent.length, 0)
  await turn()
  t.strictSame(keysOf(sent), ['a,b'])
  const second = [ask('t', ['c']), ask('t', ['a'])]
  await turn()
  t.equal(sent.length, 1, 'they wait, and nobody joins what has left')
  sent[0]!.answer('first')
  t.strictSame(await Promise.all(first), ['first', 'first'])
  t.strictSame(keysOf(sent), ['a,b', 'c,a'])
  sent[1]!.answer('second')
  t.strictSame(await Promise.all(second), ['second', 'second'])
  const third = ask('t', ['d'])
  await turn()
  sent[2]!.answer('third')
  t.equal(await third, 'third', 'with nothing under way nobody waits')
})

t.test('tenants do not wait for each other and share nothing', async (t) => {
  const { sent, ask, turn } = scene()
  const both = [ask('one', ['a']), ask('two', ['a'])]
  await turn()
  t.strictSame(sent.map(({ tenantId, keys }) => [tenantId, ...keys]), [['one', 'a'], ['two', 'a']])
  sent[1]!.answer('of two')
  sent[0]!.answer('of one')
  t.strictSame(await Promise.all(both), ['of one', 'of two'])
})

t.test('sixteen keys leave at once, whatever is under way', async (t) => {
  const { sent, ask, turn } = scene()
  const first = ask('t', ['first'])
  await turn()
  const many = Array.from({ length: 18 }, (_, index) => ask('t', [`k${index}`]))
  t.strictSame(sent.map(({ keys }) => keys.length), [1, 16])
  sent[0]!.answer('x')
  sent[1]!.answer('y')
  await Promise.all([first, ...many.slice(0, 16)])
  t.strictSame(sent.map(({ keys }) => keys.length), [1, 16, 2])
  sent[2]!.answer('z')
  t.strictSame(await Promise.all(many), [...Array.from({ length: 16 }, () => 'y'), 'z', 'z'])
})

t.test('a statement that hangs holds up nobody for long', async (t) => {
  const { sent, ask, turn } = scene()
  const hangs = ask('t', ['a'])
  await turn()
  const startedMs = performance.now()
  const behind = ask('t', ['b'])
  while (sent.length < 2) await turn()
  t.ok(performance.now() - startedMs < 500)
  sent[1]!.answer('b')
  t.equal(await behind, 'b')
  sent[0]!.fail(new Error('timeout'))
  await t.rejects(hangs, { message: 'timeout' })
})

t.test('a failure is told to all who share the statement, and to nobody else', async (t) => {
  const { sent, ask, turn } = scene()
  const shared = [ask('t', ['a']), ask('t', ['b'])]
  await turn()
  const next = ask('t', ['a'])
  sent[0]!.fail(new Error('lost'))
  for (const one of shared) await t.rejects(one, { message: 'lost' })
  sent[1]!.answer('found')
  t.equal(await next, 'found')
})
