import { once } from 'node:events'
import { connect } from 'node:net'
import { setTimeout as pause } from 'node:timers/promises'
import t from 'tap'
import { sql } from 'kysely'
import { fleet } from '../support/fleet.ts'
import { call, type ServiceProcess } from '../support/process.ts'
import { seedChallenges } from '../support/seed.ts'
import { otherCode } from '../support/service.ts'
import { requestText } from '../support/socket.ts'

const long = Boolean(process.env.LATCHKEY_LONG)
const kills = long ? 200 : 10
t.setTimeout(long ? 3_600_000 : 120_000)
if (long) process.setMaxListeners(kills + 20) // each process is ended with this one

const service = await fleet(t)
const tenantId = await service.tenantIdOf(service.tenant)
const rows = async <Row>(statement: ReturnType<typeof sql<Row>>) => (await service.owner.inTenant(tenantId, ({ db }) => statement.execute(db))).rows
const read = (at: ServiceProcess, id: string) => call(`${at.origin}/v1/challenges/${id}`, { token: service.token })
const verify = (at: ServiceProcess, id: string, code: string) => call(`${at.origin}/v1/challenges/${id}/verify`, { token: service.token, body: { code } })

/** Sends each of these codes on a connection of its own, kills the process so long after, and says which answers came. */
async function killedWhileAsked (running: ServiceProcess, codes: ReadonlyArray<{ id: string, code: string }>, afterMs: number): Promise<Array<string | undefined>> {
  const headers = { authorization: `Bearer ${service.token}`, 'content-type': 'application/json' }
  const sockets = await Promise.all(codes.map(async () => {
    const socket = connect({ port: running.port, host: '127.0.0.1', noDelay: true })
    await once(socket, 'connect')
    return socket
  }))
  const told = sockets.map(async (socket) => {
    let text = ''
    socket.on('data', (chunk) => { text += String(chunk) }).on('error', () => undefined)
    await new Promise((resolve) => { socket.on('close', resolve) })
    return /"code":"(\w+)"/.exec(text)?.[1]
  })
  codes.forEach(({ id, code }, index) => sockets[index]!.write(requestText('POST', `/v1/challenges/${id}/verify`, headers, JSON.stringify({ code }))))
  await pause(afterMs)
  running.signal('SIGKILL')
  await running.ended
  return Promise.all(told)
}

t.test(`the service killed ${kills} times just after wrong codes were sent: none that was judged is uncounted, and nothing is stuck`, async (t) => {
  let running = await service.start()
  const wrong: string[] = []
  const seen = { judged: 0, counted: 0, neither: 0, unjudged: 0 }
  for (let kill = 0; kill < kills; kill++) {
    const starting = kill + 1 < kills ? service.start() : undefined // while this one is asked and killed
    const challenges = await seedChallenges(service, service.tenant, service.starter, 8, 'signIn')
    const ids = challenges.map(({ challengeId }) => challengeId)
    const atLast = ids.slice(4) // these have one attempt left
    await rows(sql`update challenges set attempts = 4, attempted_at = now() where id = any (${atLast})`)
    await Promise.all(ids.slice(0, 2).map((id) => read(running, id))) // the first request of a process takes longer
    const told = await killedWhileAsked(running, challenges.map(({ challengeId, code }) => ({ id: challengeId, code: otherCode(code) })), kill % 2 === 0 ? 1 : 1 + kill % 8)

    const found = new Map((await rows(sql<{ id: string, attempts: number, status: string, in_a_row: number }>`
      select c.id, c.attempts, c.status, coalesce(f.in_a_row, 0) as in_a_row from challenges c left join code_failures f on f.user_id = c.user_id where c.id = any (${ids})`)).map((row) => [row.id, row]))
    told.forEach((verdict, index) => {
      const { attempts, in_a_row: inARow } = found.get(ids[index]!)!
      const counted = attempts - (index < 4 ? 0 : 4)
      const judged = verdict === undefined ? 0 : 1
      if (verdict !== undefined && verdict !== 'wrong_code') wrong.push(`${kill}: ${verdict}`)
      if (counted < judged || inARow < judged || counted > 1) wrong.push(`${kill}: ${judged} judged, ${counted} and ${inARow} counted`)
      seen[judged === 1 ? 'judged' : counted === 1 ? 'counted' : 'neither']++
    })

    running = await (starting ?? service.start())
    const left = atLast.filter((id) => found.get(id)!.attempts === 5 && found.get(id)!.status === 'pending')
    seen.unjudged += left.length
    for (const id of left.slice(0, 1)) {
      const { code } = challenges.find(({ challengeId }) => challengeId === id)!
      const right = await verify(running, id, code)
      if (right.body.code !== 'challenge_exhausted') wrong.push(`${kill}: the last attempt was counted, and the next was ${right.status} ${right.body.code ?? ''}`)
      await rows(sql`update challenges set attempted_at = attempted_at - interval '31 seconds' where id = ${id}`)
      const { body } = await read(running, id)
      if (body.status !== 'exhausted' || body.endedAt === null) wrong.push(`${kill}: it is stuck as ${body.status}`)
    }
    // What was not taken is still there.
    const [first] = challenges
    if (found.get(first!.challengeId)!.attempts <= 1 && (await verify(running, first!.challengeId, first!.code)).status !== 200) wrong.push(`${kill}: the right code is refused`)
  }
  t.comment(JSON.stringify(seen))
  t.strictSame(wrong, [])
  if (long) t.ok(seen.judged > 0 && seen.counted > 0 && seen.unjudged > 0, 'the kills came before, between and after')
  running.signal('SIGTERM')
  await running.ended
})
