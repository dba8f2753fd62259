import t from 'tap'
import { call, dataDirectory, developmentToken, eventually, postmasterOf, readyAfterKill, startService, type Answer } from '../support/process.ts'

const kills = process.env.LATCHKEY_LONG ? 10 : 3
const people = 6
const answerWithinMs = 2_000
/** Between two kills each person gets at least this far on average. */
const storiesBetweenKills = 20

/** What the service said yes to: it must be true for ever. */
interface Promised { token: string, methodId: string, challengeId?: string, code?: string, approved?: boolean }

t.test(`Postgres killed ${kills} times under load: quick answers, recovery, no acknowledged change lost, no code used twice`, async (t) => {
  const directory = dataDirectory(t)
  const service = await startService(t, { env: { DATA_DIR: directory } })
  const promised: Promised[] = []
  const wrong: string[] = []
  let [answers, refusals, slowestMs] = [0, 0, 0]
  const stopping = new AbortController()

  /** A request of the load. Undefined if it was refused because the database is away. */
  const ask = async (token: string, method: string, path: string, body?: unknown): Promise<Answer | undefined> => {
    const answer = await call(`${service.origin}${path}`, { token, method, body }).catch((error: Error) => ({ status: 0, body: error.message, headers: new Headers(), ms: 0 }))
    answers++
    slowestMs = Math.max(slowestMs, answer.ms)
    const unavailable = answer.status === 503 && answer.body.code === 'unavailable' && Number(answer.headers.get('retry-after')) >= 1
    const decided = answer.status >= 200 && answer.status < 500
    if (!unavailable && !decided) wrong.push(`${method} ${path}: ${answer.status} ${JSON.stringify(answer.body)}`)
    if (answer.ms > answerWithinMs) wrong.push(`${method} ${path}: ${answer.status} after ${Math.round(answer.ms)} ms`)
    if (unavailable) refusals++
    return unavailable ? undefined : answer
  }

  let number = 0
  /** Someone new adds a phone and verifies it, and goes as far as they are let. */
  const story = async () => {
    const token = await developmentToken(service, { subject: `someone-${++number}` })
    const added = await ask(token, 'POST', '/v1/users/me/contact-methods', { kind: 'mobilePhone', value: `+1415${2_000_000 + number}` })
    if (added?.status !== 201) return
    const mine: Promised = { token, methodId: added.body.id }
    promised.push(mine)
    const started = await ask(token, 'POST', '/v1/challenges', { userId: 'me', purpose: 'verifyContact', methodId: mine.methodId })
    if (started?.status !== 201) return
    mine.challengeId = started.body.id
    for (let looks = 0; mine.code === undefined && looks < 100 && !stopping.signal.aborted;) {
      const inbox = await ask(token, 'GET', `/v1/sandbox/messages?challengeId=${mine.challengeId}`)
      if (inbox) looks++
      mine.code = inbox?.body.items[0]?.code
    }
    if (mine.code === undefined) return // its send was under way when the database died: the outcome is unknown, and it is not sent again
    const verified = await ask(token, 'POST', `/v1/challenges/${mine.challengeId}/verify`, { code: mine.code })
    if (verified?.status === 200) mine.approved = true
  }
  const load = Array.from({ length: people }, async () => { while (!stopping.signal.aborted) await story() })

  const approvals = () => promised.filter(({ approved }) => approved).length
  const go = async () => {
    const wanted = approvals() + storiesBetweenKills
    await eventually(() => approvals() >= wanted || wrong.length > 0)
  }
  try {
    for (let kill = 1; kill <= kills; kill++) {
      await go()
      const postmaster = postmasterOf(directory)
      process.kill(postmaster, 'SIGKILL')
      const killedAt = performance.now()
      await readyAfterKill(service, directory, postmaster)
      t.comment(`ready again ${Math.round(performance.now() - killedAt)} ms after kill ${kill}`)
    }
    await go()
  } finally {
    stopping.abort()
    await Promise.all(load)
  }

  t.comment(`${answers} answers, ${refusals} of them 503; the slowest after ${Math.round(slowestMs)} ms; ${promised.length} methods, ${approvals()} approvals`)
  t.same(wrong, [])
  t.ok(refusals > 0, 'the kills were felt')

  const lost: string[] = []
  for (const { token, methodId, challengeId, code, approved } of promised) {
    const read = (path: string, body?: unknown) => call(`${service.origin}${path}`, { token, body })
    const method = await read(`/v1/users/me/contact-methods/${methodId}`)
    if (method.status !== 200) lost.push(`method ${methodId}: ${method.status}`)
    if (approved && method.body.status !== 'active') lost.push(`method ${methodId} was verified and is ${method.body.status}`)
    if (challengeId === undefined) continue
    const challenge = await read(`/v1/challenges/${challengeId}`)
    if (challenge.status !== 200) lost.push(`challenge ${challengeId}: ${challenge.status}`)
    if (code === undefined) continue
    // Where nobody heard a yes, the code may be good once more; after a yes, never.
    const again = [await read(`/v1/challenges/${challengeId}/verify`, { code }), await read(`/v1/challenges/${challengeId}/verify`, { code })]
    const yeses = again.filter(({ status }) => status === 200).length + (approved ? 1 : 0)
    if (yeses > 1) lost.push(`the code of ${challengeId} was good ${yeses} times`)
  }
  t.same(lost, [])
  t.equal(await service.stop(), 0)
})
