import { randomBytes, randomUUID } from 'node:crypto'
import t from 'tap'
import { keysOf, newKeyRingText, parseKeyRing } from '../../src/platform/keys.ts'

const secret = () => randomBytes(32).toString('base64')
const [one, two] = [secret(), secret()]
const keys = keysOf(parseKeyRing(`1:${one}`))
const both = keysOf(parseKeyRing(`2:${two},1:${one}`))
const [tenantA, tenantB] = [randomUUID(), randomUUID()]
const context = ['ann', 'method', 'value']
const number = '+14155550132'

t.test('what is sealed opens again, whatever the text', async (t) => {
  for (const text of ['', number, 'ünïcode 🙂 ‮', 'x'.repeat(20_000)]) t.equal(keys.open('field', tenantA, context, keys.seal('field', tenantA, context, text)), text)
})

t.test('it opens in its own tenant, purpose, user, method and field only', async (t) => {
  const sealed = keys.seal('field', tenantA, context, number)
  t.throws(() => keys.open('field', tenantB, context, sealed))
  t.throws(() => keys.open('message', tenantA, context, sealed))
  t.throws(() => keysOf(parseKeyRing(newKeyRingText())).open('field', tenantA, context, sealed))
  const others = [['bob', 'method', 'value'], ['ann', 'other', 'value'], ['ann', 'method', 'extension'], ['ann', 'method'], [...context, ''], ['annm', 'ethod', 'value'], ['value', 'method', 'ann'], []]
  for (const other of others) t.throws(() => keys.open('field', tenantA, other, sealed), other.join('/'))
})

t.test('a single flipped bit anywhere, or a byte less or more, and it does not open', async (t) => {
  const sealed = keys.seal('field', tenantA, context, number)
  let opened = 0
  const tryToOpen = (bytes: Buffer) => { try { keys.open('field', tenantA, context, bytes); opened++ } catch { /* as it should be */ } }
  for (let bit = 0; bit < sealed.length * 8; bit++) {
    const flipped = Buffer.from(sealed)
    flipped[bit >> 3]! ^= 1 << (bit & 7)
    tryToOpen(flipped)
  }
  for (let length = 0; length < sealed.length; length++) tryToOpen(sealed.subarray(0, length))
  tryToOpen(Buffer.concat([sealed, Buffer.alloc(1)]))
  t.equal(opened, 0, `${sealed.length * 8} bits`)
})

t.test('no nonce comes twice in 100,000 seals, and no plain text shows', async (t) => {
  const nonces = new Set<string>()
  let plain = 0
  for (let seal = 0; seal < 100_000; seal++) {
    const sealed = keys.seal('field', tenantA, context, number)
    nonces.add(sealed.toString('latin1', 2, 14))
    if (sealed.includes('4155550132')) plain++
  }
  t.equal(nonces.size, 100_000)
  t.equal(plain, 0)
})

t.test('a ring with a new version opens the old, seals and signs with the new', async (t) => {
  t.equal(both.open('field', tenantA, context, keys.seal('field', tenantA, context, number)), number)
  const sealed = both.seal('field', tenantA, context, number)
  t.equal(sealed.readUInt16BE(0), 2)
  t.throws(() => keys.open('field', tenantA, context, sealed), { message: 'The key ring has no version 2' })

  const parts = ['row', 'x']
  t.ok(both.macMatches('audit', tenantA, parts, 1, keys.mac('audit', tenantA, parts)))
  t.ok(both.macMatches('audit', tenantA, parts, 2, both.mac('audit', tenantA, parts)))
  t.notOk(both.macMatches('audit', tenantA, parts, 2, keys.mac('audit', tenantA, parts)), 'not under another version')
  t.notOk(keys.macMatches('audit', tenantA, parts, 2, both.mac('audit', tenantA, parts)), 'nor under one that the ring has not')
  t.notOk(both.macMatches('audit', tenantA, ['ro', 'wx'], 2, both.mac('audit', tenantA, parts)), 'parts do not run into one another')
  t.notOk(both.macMatches('audit', tenantA, parts, 2, both.mac('audit', tenantA, parts).subarray(0, 16)), 'a shortened MAC is none')
})

t.test('a blind index is the same for a value of one tenant, and tells nothing across tenants, kinds and values', async (t) => {
  const index = keys.blindIndex(tenantA, 'phone', number)
  t.same(keys.blindIndex(tenantA, 'phone', number), index)
  const others = [keys.blindIndex(tenantB, 'phone', number), keys.blindIndex(tenantA, 'email', number), keys.blindIndex(tenantA, 'destination', number), keys.blindIndex(tenantA, 'phone', '+14155550133')]
  t.equal(new Set([index, ...others].map((one) => one.toString('hex'))).size, 5)
  t.same(both.blindIndexes(tenantA, 'phone', number).filter((one) => one.equals(index)), [index], 'a look-up finds the old index')
  t.same(both.blindIndexes(tenantA, 'phone', number).filter((one) => one.equals(both.blindIndex(tenantA, 'phone', number))).length, 1, 'and the new one')
})

t.test('an announced version (+) opens and checks, and is used for nothing new', async (t) => {
  for (const announced of [keysOf(parseKeyRing(`1:${one},+2:${two}`)), keysOf(parseKeyRing(`+2:${two},1:${one}`))]) {
    t.same([announced.newest, announced.oldest, announced.knows(2)], [1, 1, true])
    t.equal(announced.open('field', tenantA, context, both.seal('field', tenantA, context, number)), number)
    t.equal(announced.seal('field', tenantA, context, number).readUInt16BE(0), 1)
    t.ok(announced.macMatches('audit', tenantA, ['x'], 2, both.mac('audit', tenantA, ['x'])))
    t.same(announced.mac('audit', tenantA, ['x']), keys.mac('audit', tenantA, ['x']))
    t.same(announced.blindIndex(tenantA, 'phone', number), keys.blindIndex(tenantA, 'phone', number))
    t.ok(announced.blindIndexes(tenantA, 'phone', number).some((index) => index.equals(both.blindIndex(tenantA, 'phone', number))), 'a look-up finds what replicas that use it have stored')
    t.equal(announced.proofKeys.signing.kid, keys.proofKeys.signing.kid)
    t.same(announced.proofKeys.all.map(({ kid }) => kid).toSorted(), both.proofKeys.all.map(({ kid }) => kid).toSorted())
  }
  t.equal(parseKeyRing(`3:${one},+9:${two}`).newest, 3)
})

t.test('a faulty KEY_RING is refused and nothing of it is printed', async (t) => {
  const long = randomBytes(33).toString('base64')
  const faulty = ['', ',', one, `:${one}`, `0:${one}`, `01:${one}`, `-1:${one}`, `65536:${one}`, `99999:${one}`, `1:${one.slice(0, 40)}`, `1:${long}`, `1:${one}!`, `1: ${one}`, `1=${one}`,
    `1:${randomBytes(32).toString('hex')}`, `1:${one},1:${two}`, `1:${one};2:${two}`, `1:${one},two:${two}`, `{"1":"${one}"}`,
    `+1:${one}`, `+1:${one},+2:${two}`, `1:${one},+1:${two}`, `++1:${one},2:${two}`, `1+:${one},2:${two}`, `1:+${one},2:${two}`, `-1:${one},2:${two}`]
  for (const text of faulty) {
    try {
      parseKeyRing(text)
      t.fail(`accepted ${text.length} characters`)
    } catch (error) {
      const { message, stack } = error as Error
      const fragments = Array.from({ length: Math.max(0, text.length - 7) }, (_, start) => text.slice(start, start + 8))
      t.match(message, /^KEY_RING /)
      t.notOk(fragments.some((fragment) => stack!.includes(fragment)), 'no eight characters of it')
    }
  }
  t.equal(parseKeyRing(`65535:${one}, 7:${two}`).newest, 65_535, 'the highest version is the newest')
})
