import t from 'tap'
import { setPolicy } from '../support/answers.ts'
import { nthCodeOf, pendingMethod, read, started, verify } from '../support/challenges.ts'
import { holding, without } from '../support/guards.ts'
import { raiseEpoch, registered } from '../support/proofs.ts'
import { atOnce, replicasOf, tally } from '../support/replicas.ts'
import { codeOf, moveClock, otherCode, testService, type Answer, type Client } from '../support/service.ts'

const service = await testService(t)
const replicas = await replicasOf(t, service, 3)
const rounds = process.env.LATCHKEY_LONG === '1' ? 60 : 8
let people = 0

/** Someone with an active phone, an app at three replicas that signs them in, and their challenge with its code. */
async function scene (purpose: 'signIn' | 'verifyContact' = 'signIn') {
  const tenant = await service.tenant()
  const userId = `user-${++people}`
  const apps = replicas.of(await service.as({ tenant, subject: 'payroll', kind: 'app', scopes: ['challenges:write', 'sign-in:read'] }))
  const own = replicas.of(await service.as({ tenant, subject: userId }))
  await setPolicy(service, tenant, { registration: { required: [] } })
  const { mobilePhone } = await registered(service, tenant, userId, ['mobilePhone', 'alternatePhone'], 48, { mobilePhone: `+1415555${2000 + people}` })
  const methodId = purpose === 'signIn' ? mobilePhone! : await pendingMethod(own[0]!, { kind: 'officePhone', value: '+14155550177' })
  const begin = async (client: Client) => started(client, methodId, { userId: purpose === 'signIn' ? userId : 'me', purpose })
  const starters = purpose === 'signIn' ? apps : own
  const challenge = await begin(starters[0]!)
  return { tenant, userId, methodId, starters, own, begin, id: challenge.id as string, code: await codeOf(starters[0]!, challenge.id) }
}
type Scene = Awaited<ReturnType<typeof scene>>

const resend = (client: Client, id: string, headers?: Record<string, string>) => client.post(`/v1/challenges/${id}/resend`, {}, headers)
const cancel = (client: Client, id: string, headers?: Record<string, string>) => client.post(`/v1/challenges/${id}/cancel`, {}, headers)
const brief = ({ status, body }: Answer) => status < 300 ? status : `${status} ${body.code}`

/** Has the first of two requests surely come first where both need the lock on the user, while the second has read everything before. */
async function crossed ({ tenant, userId }: Scene, first: () => Promise<Answer>, second: () => Promise<Answer>): Promise<[Answer, Answer]> {
  return holding(service, 'select 1 from users where tenant_id = $1 and user_id = $2 for update', [await service.tenantIdOf(tenant), userId], async ({ waiting, release }) => {
    const one = first()
    await waiting(1)
    const two = second()
    await waiting(2)
    await release()
    return Promise.all([one, two])
  })
}

t.test('a code that was judged right before a resend answered is wrong after it; the challenge goes on and the new code is good once', async (t) => {
  for (const purpose of ['signIn', 'verifyContact'] as const) {
    const s = await scene(purpose)
    await moveClock(s.own[0]!, 31)
    const [sent, checked] = await crossed(s, () => resend(s.starters[1]!, s.id), () => verify(s.starters[2]!, s.id, s.code))
    t.equal(sent.status, 200)
    t.match(checked, { status: 422, body: { code: 'wrong_code', attemptsRemaining: 4 } }, purpose)
    t.match((await read(s.starters[0]!, s.id)).body, { status: 'pending', attemptsRemaining: 4 })
    const code = await nthCodeOf(s.starters[0]!, s.id, 2)
    t.strictSame(tally(await atOnce(8, (index) => verify(s.starters[index % 3]!, s.id, code))), { 200: 1, '409 challenge_approved': 7 })
  }
})

t.test('the control: without the guard of the judged code the old one is approved after the resend', async (t) => {
  const s = await scene()
  await moveClock(s.own[0]!, 31)
  const [sent, checked] = await without(service, 'approve_challenge', 'and x.used_at is null and x.code_mac = judged_mac', () =>
    crossed(s, () => resend(s.starters[1]!, s.id), () => verify(s.starters[2]!, s.id, s.code)))
  t.strictSame([sent.status, checked.status], [200, 200])
})

t.test('the last attempt that a resend made wrong ends the challenge', async (t) => {
  const s = await scene()
  await moveClock(s.own[0]!, 31)
  for (let attempt = 0; attempt < 3; attempt++) await verify(s.starters[0]!, s.id, otherCode(s.code))
  const [, checked] = await crossed(s, () => resend(s.starters[1]!, s.id), () => verify(s.starters[2]!, s.id, s.code))
  t.match(checked.body, { code: 'wrong_code', attemptsRemaining: 1 })
  const other = await scene()
  await moveClock(other.own[0]!, 31)
  for (let attempt = 0; attempt < 4; attempt++) await verify(other.starters[0]!, other.id, otherCode(other.code))
  // The resend has seen an attempt left before the check took it.
  const [sent, last] = await crossed(other, () => resend(other.starters[1]!, other.id), () => verify(other.starters[2]!, other.id, other.code))
  // Whichever of them ends first: nothing is sent, and the one right code is judged as what it was.
  t.ok(brief(sent) === '409 challenge_exhausted' ? [200, '422 wrong_code'].includes(brief(last)) : brief(sent) === '409 challenge_approved' && last.status === 200, `${brief(sent)}, ${brief(last)}`)
})

t.test('resends and checks in any order: the old code never after the new one went out, and one approval', async (t) => {
  for (let round = 0; round < rounds; round++) {
    const s = await scene()
    await moveClock(s.own[0]!, 31)
    let sent = false
    const late: Answer[] = []
    const answers = await Promise.all([
      ...[0, 1, 2].map((index) => verify(s.starters[index]!, s.id, s.code)),
      resend(s.starters[round % 3]!, s.id).then(async (answer) => {
        sent = answer.status === 200
        if (sent) late.push(...await atOnce(2, (index) => verify(s.starters[index]!, s.id, s.code)))
        return answer
      }),
    ])
    const approvals = answers.slice(0, 3).filter(({ status }) => status === 200).length
    t.equal(approvals + Number(sent), 1, `${answers.map(brief).join(', ')}: either the old code or a new one`)
    t.notOk(late.some(({ status }) => status === 200))
    t.notOk(answers.some((answer) => brief(answer) === '409 challenge_canceled'), 'nobody is told that it is over')
  }
})

t.test('of cancels and right codes at once exactly one wins, with and without keys', async (t) => {
  const won: string[] = []
  for (let round = 0; round < rounds; round++) {
    const s = await scene(round % 2 === 0 ? 'signIn' : 'verifyContact')
    const answers = await atOnce(8, (index) => {
      const headers = index > 3 ? { 'idempotency-key': `key-${index}` } : undefined
      return index % 2 === 0 ? cancel(s.starters[index % 3]!, s.id, headers) : verify(s.starters[index % 3]!, s.id, s.code, headers)
    })
    const winners = answers.flatMap(({ status, body }) => status === 200 ? [body.status as string] : [])
    t.equal(winners.length, 1, answers.map(brief).join(', '))
    t.match((await read(s.starters[0]!, s.id)).body, { status: winners[0] })
    t.equal(brief(await verify(s.starters[1]!, s.id, s.code)), `409 challenge_${winners[0]}`)
    if (s.methodId && round % 2 === 1) t.match((await s.own[0]!.get(`/v1/users/me/contact-methods/${s.methodId}`)).body, { status: winners[0] === 'approved' ? 'active' : 'pending' })
    won.push(winners[0]!)
  }
  t.comment(`canceled ${won.filter((one) => one === 'canceled').length} of ${rounds}`)
})

/** What makes an old code worthless, each answered before the check that has read everything before. */
const changes: Record<string, [purpose: 'signIn' | 'verifyContact', act: (s: Scene) => Promise<Answer>]> = {
  'a new value': ['verifyContact', (s) => s.own[1]!.patch(`/v1/users/me/contact-methods/${s.methodId}`, { value: '+14155550178' })],
  'the removal of a pending method': ['verifyContact', (s) => s.own[1]!.delete(`/v1/users/me/contact-methods/${s.methodId}`)],
  'the removal of an active one': ['signIn', (s) => s.own[1]!.delete(`/v1/users/me/contact-methods/${s.methodId}`)],
  'a newer challenge': ['signIn', (s) => s.begin(s.starters[1]!).then((body) => ({ status: 201, body }) as unknown as Answer)],
}
for (const [name, [purpose, act]] of Object.entries(changes)) {
  t.test(`${name} before the verdict: the old code is not approved`, async (t) => {
    const s = await scene(purpose)
    await moveClock(s.own[0]!, 31)
    const [changed, checked] = await crossed(s, () => act(s), () => verify(s.starters[2]!, s.id, s.code))
    t.ok(changed.status < 300, String(brief(changed)))
    t.equal(brief(checked), '409 challenge_canceled')
    t.match((await read(s.starters[0]!, s.id)).body, { status: 'canceled' })
    t.equal(brief(await verify(s.starters[0]!, s.id, s.code)), '409 challenge_canceled')
  })
}

t.test('a new value that becomes active before the verdict: the code of the old one is not approved', async (t) => {
  const s = await scene()
  await s.own[0]!.patch(`/v1/users/me/contact-methods/${s.methodId}`, { value: '+14155550188' })
  const change = await started(s.own[0]!, s.methodId)
  await moveClock(s.own[0]!, 31)
  const { id } = await s.begin(s.starters[0]!) // until then the old value works
  const [newCode, oldCode] = [await codeOf(s.own[0]!, change.id), await codeOf(s.own[0]!, id)]
  const answers = await crossed(s, () => verify(s.own[1]!, change.id, newCode), () => verify(s.starters[2]!, id, oldCode))
  t.strictSame(answers.map(brief), [200, '409 challenge_canceled'])
})

t.test('a reset before the verdict: no code of before it is approved; without the guard of the epoch it is', async (t) => {
  const raised = async (s: Scene) => holding(service, 'update users set mfa_epoch = mfa_epoch + 1 where tenant_id = $1 and user_id = $2', [await service.tenantIdOf(s.tenant), s.userId], async ({ waiting, release }) => {
    const checking = verify(s.starters[2]!, s.id, s.code)
    await waiting(1)
    await release()
    return checking
  })
  for (const purpose of ['signIn', 'verifyContact'] as const) {
    const s = await scene(purpose)
    t.equal(brief(await raised(s)), '409 challenge_canceled', purpose)
    t.match((await read(s.starters[0]!, s.id)).body, { status: 'canceled' })
  }
  t.equal(brief(await without(service, 'approve_challenge', ' and u.mfa_epoch = c.mfa_epoch', async () => raised(await scene()))), 200, 'the control')
  const s = await scene()
  await raiseEpoch(service, s.tenant, s.userId)
  t.equal(brief(await verify(s.starters[0]!, s.id, s.code)), '409 challenge_canceled')
  await moveClock(s.own[0]!, 31)
  t.equal(brief(await resend(s.starters[0]!, s.id)), '409 challenge_canceled')
})

t.test('challenges of two apps for one method do not touch each other, and each is good once', async (t) => {
  for (let round = 0; round < 2; round++) {
    const s = await scene()
    const others = replicas.of(await service.as({ tenant: s.tenant, subject: 'vpn', kind: 'app', scopes: ['challenges:write', 'sign-in:read'] }))
    await moveClock(s.own[0]!, 31)
    const theirs = await s.begin(others[0]!)
    await moveClock(s.own[0]!, 92)
    const newer = await s.begin(s.starters[1]!)
    t.match((await read(others[1]!, theirs.id)).body, { status: 'pending' }, 'another caller\'s newer one cancels nothing of it')
    t.match((await read(s.starters[1]!, s.id)).body, { status: 'canceled' })
    const [code, theirCode] = [await codeOf(s.own[0]!, newer.id), await codeOf(s.own[0]!, theirs.id)]
    const answers = await atOnce(12, (index) => index % 2 === 0 ? verify(s.starters[index % 3]!, newer.id, code) : verify(others[index % 3]!, theirs.id, theirCode))
    for (const half of [0, 1]) t.strictSame(tally(answers.filter((_answer, index) => index % 2 === half)), { 200: 1, '409 challenge_approved': 5 })
  }
})

t.test('twins with one key: one challenge, one new code, one approval, one cancel, and the same answer for all', async (t) => {
  const twins = async (s: Scene, act: (client: Client, headers: Record<string, string>) => Promise<Answer>, key: string) => {
    const answers = await atOnce(9, (index) => act(s.starters[index % 3]!, { 'idempotency-key': key }))
    // A proof is signed again, with the same claims.
    t.equal(new Set(answers.map(({ text }) => text.replace(/\.[\w-]+"/, '"'))).size, 1, `${key}: ${JSON.stringify(tally(answers))}`)
    return answers[0]!
  }
  const s = await scene()
  await moveClock(s.own[0]!, 31)
  const { body: newer } = await twins(s, (client, headers) => client.post('/v1/challenges', { userId: s.userId, purpose: 'signIn' }, headers), 'start')
  await codeOf(s.own[0]!, newer.id)
  await moveClock(s.own[0]!, 92)
  t.equal((await twins(s, (client, headers) => resend(client, newer.id, headers), 'resend')).status, 200)
  const code = await nthCodeOf(s.own[0]!, newer.id, 2)
  const inbox = async (id: string) => (await s.own[0]!.get(`/v1/sandbox/messages?challengeId=${id}`)).body.items.length as number
  t.equal(await inbox(newer.id), 2)
  const approved = await twins(s, (client, headers) => verify(client, newer.id, code, headers), 'verify')
  t.match(approved.body, { status: 'approved', proof: /^ey/ })
  const other = await scene()
  t.match((await twins(other, (client, headers) => cancel(client, other.id, headers), 'cancel')).body, { status: 'canceled' })
})
