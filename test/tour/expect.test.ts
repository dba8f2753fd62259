import t from 'tap'
import { faultsIn, lookedAt, some, type Expected } from '../../tour/expect.ts'

const answer = { id: 'a1', status: 'pending', count: 2, methods: [{ kind: 'totp', secret: 's' }, { kind: 'mobilePhone', secret: 't' }], note: null }

t.test('the tour takes an answer that has what is named, whatever else is in it', async (t) => {
  const fits: Expected[] = [
    {}, { id: String, count: Number }, { status: /^pend/ }, { note: null, other: undefined }, { methods: [{ kind: 'totp' }, { kind: String }] }, { methods: some({ kind: 'mobilePhone' }) },
  ]
  for (const expected of fits) t.same(faultsIn(answer, expected), [], JSON.stringify(expected))
})

t.test('the tour notices every field that is not what the contract says', async (t) => {
  const unfit: Expected[] = [
    { id: 'a2' }, { count: String }, { status: /^done/ }, { note: String }, { id: undefined }, { other: 1 }, { methods: [{ kind: 'totp' }] }, { methods: [] },
    { methods: [{ kind: 'mobilePhone' }, {}] }, { methods: some({ kind: 'passkey' }) }, { methods: some({ kind: 'totp', secret: 't' }) }, { status: some('pending') }, { count: { of: 2 } },
  ]
  for (const expected of unfit) t.equal(faultsIn(answer, expected).length, 1, JSON.stringify(expected))
})

t.test('the tour shows what was looked at and nothing else', async (t) => {
  t.same(lookedAt(answer, { status: String, methods: some({ kind: 'mobilePhone' }) }), { status: 'pending', methods: [{ kind: 'mobilePhone' }] })
})
