import t from 'tap'
import { systemRandom } from '../../src/platform/random.ts'

t.test('ids are UUIDv7 of now, each once, in the order in which they were made', async (t) => {
  const startMs = Date.now()
  const first = systemRandom.uuid()
  const endMs = Date.now()
  const ids = [first, ...Array.from({ length: 49_999 }, () => systemRandom.uuid())]
  t.ok(ids.every((id) => /^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/.test(id)))
  t.same(ids.toSorted(), ids)
  t.equal(new Set(ids.map((id) => id.slice(19))).size, 50_000, 'what follows the time and the count is random')
  const ms = Number.parseInt(first.slice(0, 8) + first.slice(9, 13), 16)
  t.ok(ms >= startMs && ms <= endMs)
})

t.test('codes have their length, leading zeros kept, and every digit everywhere', async (t) => {
  for (const length of [6, 10]) {
    const codes = Array.from({ length: 5_000 }, () => systemRandom.digits(length))
    t.ok(codes.every((code) => code.length === length && /^\d+$/.test(code)))
    for (let place = 0; place < length; place++) {
      const counts = Map.groupBy(codes, (code) => code[place])
      t.equal(counts.size, 10, `place ${place}`)
      t.ok([...counts.values()].every(({ length: count }) => count > 350 && count < 650), 'about a tenth each: 500 ± 7 standard deviations')
    }
  }
})
