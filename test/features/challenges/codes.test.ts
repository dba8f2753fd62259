import t from 'tap'
import { codeParts } from '../../../src/features/challenges/challenges.ts'
import { isRefused } from '../../support/answers.ts'
import { moveTo, read, resend, start, started, verify } from '../../support/challenges.ts'
import { countWrongCodes } from '../../support/limits.ts'
import { registered } from '../../support/proofs.ts'
import { codeOf, testService } from '../../support/service.ts'

const long = process.env.LATCHKEY_LONG === '1'
const service = await testService(t)

async function scene () {
  const tenant = await service.tenant()
  const ids = await registered(service, tenant, 'ann', ['mobilePhone', 'alternatePhone', 'officePhone', 'alternateEmail'])
  const app = (subject: string, blind = false) => service.as({ tenant, subject, kind: 'app', scopes: ['challenges:write', ...blind ? [] : ['sign-in:read' as const]] })
  return { tenant, ids, ann: await service.as({ tenant, subject: 'ann' }), payroll: await app('payroll'), blind: await app('vpn', true) }
}

t.test('T-01: 100,000 codes are strings of six digits, leading zeros kept, every digit as likely as any other at every place', async (t) => {
  const drawn = 100_000
  const counts = Array.from({ length: 6 }, () => new Array<number>(10).fill(0))
  const pairs = new Array<number>(100).fill(0)
  let fit = true
  for (let index = 0; index < drawn; index++) {
    const code = service.deps.random.digits(6)
    fit &&= typeof code === 'string' && /^[0-9]{6}$/.test(code)
    for (let place = 0; place < 6; place++) counts[place]![code.charCodeAt(place) - 48]!++
    pairs[Number(code.slice(4))]!++
  }
  t.ok(fit, 'each of them')
  const chiSquare = (observed: number[]) => observed.reduce((sum, count) => sum + (count - drawn / observed.length) ** 2, 0) * observed.length / drawn
  // With 9 degrees of freedom 41 is passed by chance with p = 5e-6, at any of six places with 3e-5: p > 0.001 would fail six runs in a thousand.
  for (const [place, observed] of counts.entries()) t.ok(chiSquare(observed) < 41, `place ${place}: ${chiSquare(observed).toFixed(1)}`)
  t.ok(chiSquare(pairs) < 175, `the last two together: ${chiSquare(pairs).toFixed(1)}`) // 99 degrees of freedom, p = 4e-6
  const zeros = counts[0]![0]!
  t.ok(zeros > 9_500 && zeros < 10_500, `${zeros} start with a zero`) // 5 standard deviations
})

t.test('T-02: a right code is accepted 2 s before its time is over and refused 2 s after it, also one that was sent again', async (t) => {
  for (const again of [false, true]) {
    const { ids, payroll } = await scene()
    for (const [purpose, kind, seconds] of [['signIn', 'mobilePhone', 300], ['transaction', 'alternatePhone', 300], ['recovery', 'alternateEmail', 600]] as const) {
      for (const late of [false, true]) {
        let challenge = await started(payroll, ids[kind]!, { userId: 'ann', purpose, ...(purpose === 'transaction' && { context: { display: 'x' } }) })
        if (again) {
          await codeOf(payroll, challenge.id)
          await moveTo(payroll, challenge.resendAvailableAt)
          challenge = (await resend(payroll, challenge.id)).body
          for (;;) if ((await payroll.get(`/v1/sandbox/messages?challengeId=${challenge.id}`)).body.items.length === 2) break
        } else {
          t.equal(Date.parse(challenge.expiresAt) - Date.parse(challenge.createdAt), seconds * 1000)
        }
        const code = await codeOf(payroll, challenge.id)
        await moveTo(payroll, challenge.expiresAt, late ? 2 : -2)
        const answer = await verify(payroll, challenge.id, code)
        if (late) isRefused(t, answer, 'challenge_expired')
        else t.equal(answer.status, 200, `${purpose}${again ? ', sent again' : ''}`)
        t.match((await read(payroll, challenge.id)).body, { status: late ? 'expired' : 'approved' })
      }
    }
  }
})

const malformed = (code: string) => [
  '', ' ', ` ${code}`, `${code} `, `\t${code}`, `${code}\n`, `\r\n${code}`, `+${code}`, `-${code}`, `${code.slice(0, 3)} ${code.slice(3)}`, `\u00a0${code}`, `${code}\u200b`,
  [...code].map((digit) => String.fromCodePoint(0xff10 + Number(digit))).join(''), [...code].map((digit) => String.fromCodePoint(0x1d7ce + Number(digit))).join(''), `${code}.`, `0x${code}`, `${code}e0`,
]

t.test('T-08: what is not the digits alone is malformed_code and counted, however near it comes to the right code', async (t) => {
  const { tenant, ids, payroll, ann } = await scene()
  const spellings = malformed('123456').length
  const methods = [ids.mobilePhone, ids.alternatePhone, ids.officePhone, ids.alternateEmail]
  let counted = 0
  for (let from = 0; from < spellings; from += 5) {
    const challenge = await started(payroll, methods[from / 5]!, { userId: 'ann', purpose: from < 15 ? 'signIn' : 'recovery' })
    const code = await codeOf(payroll, challenge.id)
    for (const [index, spelling] of malformed(code).slice(from, from + 5).entries()) {
      const answer = await verify(payroll, challenge.id, spelling)
      isRefused(t, answer, 'malformed_code', {}, JSON.stringify(spelling))
      t.equal(answer.body.attemptsRemaining, 4 - index)
      t.match((await ann.get('/v1/users/me/lockout')).body, { wrongCodesInARow: ++counted })
    }
    if (from + 5 <= spellings) isRefused(t, await verify(payroll, challenge.id, code), 'challenge_exhausted')
    await countWrongCodes(service, tenant, 'ann', { inARow: counted })
  }
  t.equal(counted, spellings)
})

t.test('T-08: of a locked user no input is judged or counted; an app that may not know counts on as if it were', async (t) => {
  const { tenant, ids, payroll, blind, ann } = await scene()
  const [told, untold] = [await started(payroll, ids.mobilePhone!, { userId: 'ann', purpose: 'signIn' }), await started(blind, ids.alternatePhone!, { userId: 'ann', purpose: 'signIn' })]
  const [code, otherCode] = [await codeOf(payroll, told.id), await codeOf(blind, untold.id)]
  await countWrongCodes(service, tenant, 'ann', { inARow: 10, lockedSeconds: 900 })
  for (const spelling of malformed(code).concat(code)) isRefused(t, await verify(payroll, told.id, spelling), 'user_locked', {}, JSON.stringify(spelling))
  t.match((await read(payroll, told.id)).body, { status: 'pending', attemptsRemaining: 5 })
  for (const [index, spelling] of malformed(otherCode).slice(2, 6).entries()) {
    const answer = await verify(blind, untold.id, spelling)
    isRefused(t, answer, 'malformed_code', {}, JSON.stringify(spelling))
    t.equal(answer.body.attemptsRemaining, 4 - index)
  }
  t.match((await verify(blind, untold.id, otherCode)).body, { code: 'wrong_code', attemptsRemaining: 0 }, 'even the right one')
  t.match((await ann.get('/v1/users/me/lockout')).body, { wrongCodesInARow: 10 }, 'and the lock does not grow')
  isRefused(t, await start(payroll, ids.officePhone!, { userId: 'ann', purpose: 'signIn' }), 'user_locked')
})

t.test('T-13: how long a wrong code takes does not tell how many of its first digits are right', { skip: long ? false : 'only under LATCHKEY_LONG' }, async (t) => {
  const { keys } = service.deps
  const row = { id: crypto.randomUUID(), user_id: 'ann', method_id: crypto.randomUUID(), purpose: 'signIn' }
  const tenantId = crypto.randomUUID()
  const right = '314159'
  const mac = keys.mac('code', tenantId, codeParts(row, right))
  const check = (code: string) => keys.macMatches('code', tenantId, codeParts(row, code), keys.newest, mac)
  const leaky = (code: string) => { let same = 0; while (code[same] === right[same]) { same++; check(code) } return check(code) }
  // As many different texts of either sort, so that no cache tells them apart.
  const others = (digit: string) => [...'0123456789'].filter((other) => other !== digit)
  const sorts = [others(right[0]!).map((digit) => digit + right.slice(1)), others(right[5]!).map((digit) => right.slice(0, 5) + digit)] as const

  /** Welch's t of the medians of batches: 20,000 checks of each sort, batch by batch in an order that chance decides. */
  const welch = (judge: (code: string) => boolean) => {
    const medians: [number[], number[]] = [[], []]
    const batch = (sort: 0 | 1) => {
      const times: number[] = []
      for (let index = 0; index < 100; index++) {
        const code = sorts[sort][index % 9]!
        const startedAt = process.hrtime.bigint()
        judge(code)
        times.push(Number(process.hrtime.bigint() - startedAt))
      }
      medians[sort].push(times.sort((a, b) => a - b)[50]!)
    }
    for (let round = 0; round < 40; round++) { batch(0); batch(1) } // warm
    medians[0].length = 0
    medians[1].length = 0
    for (let round = 0; round < 200; round++) for (const sort of service.deps.random.digits(1) < '5' ? [0, 1] as const : [1, 0] as const) batch(sort)
    const [a, b] = medians.map((values) => {
      const mean = values.reduce((sum, value) => sum + value, 0) / values.length
      return { mean, error: values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / (values.length - 1) / values.length }
    }) as [{ mean: number, error: number }, { mean: number, error: number }]
    t.comment(`${a.mean.toFixed(0)} ns and ${b.mean.toFixed(0)} ns`)
    return (a.mean - b.mean) / Math.sqrt(a.error + b.error)
  }
  const found = welch(check)
  t.ok(Math.abs(found) < 4.5, `t = ${found.toFixed(2)}`)
  const control = welch(leaky)
  t.ok(control < -4.5, `the control: one that stops at the first wrong digit has t = ${control.toFixed(0)}`)
})
