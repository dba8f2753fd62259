import type { FastifyInstance } from 'fastify'
import { unavailable } from '../db/errors.ts'
import type { Db } from '../db/index.ts'

/** Whether the service takes new work: not while it is draining. */
export interface Readiness { draining: boolean }

const answerWithinMs = 1_500

/** `/health/live`: the process runs. `/health/ready`: it can answer, the database among it, and is not being stopped. */
export function healthRoutes (app: FastifyInstance, db: Pick<Db, 'serverTime'>, readiness: Readiness): void {
  app.get('/health/live', { schema: { hide: true } }, async (_request, reply) => reply.header('cache-control', 'no-store').send({ status: 'ok' }))
  app.get('/health/ready', { schema: { hide: true } }, async (_request, reply) => {
    if (readiness.draining) throw unavailable()
    await Promise.race([db.serverTime(), new Promise((_resolve, reject) => { setTimeout(() => reject(unavailable()), answerWithinMs).unref() })])
    return reply.header('cache-control', 'no-store').send({ status: 'ok' })
  })
}
