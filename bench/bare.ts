import Fastify from 'fastify'
import pg from 'pg'
import { ContactMethod, ContactMethodList } from '../src/features/contact-methods/schema.ts'

/**
 * The yardstick: a bare Fastify handler, a pool of 10, one named select as the owner of the table, the same response
 * schema; no token, no tenant, no transaction, no decryption, no log.
 */
const pool = new pg.Pool({ connectionString: process.env.BENCH_OWNER_URL!, max: 10 })
const app = Fastify()
app.addSchema(ContactMethod)
app.addSchema(ContactMethodList)

app.get('/health/ready', async () => ({ status: 'ok' }))
app.get('/v1/users/:userId/contact-methods', {
  schema: { response: { 200: { $ref: 'ContactMethodList#' } } },
}, async (request) => {
  const { userId } = request.params as { userId: string }
  const { rows } = await pool.query({ name: 'bare', text: `select * from contact_methods where tenant_id = $1 and user_id = $2 and status <> 'removed' order by created_at, id`, values: [process.env.BENCH_TENANT, userId] })
  return {
    items: rows.map((row: Record<string, Date>) => ({
      id: row.id, kind: row.kind, label: row.label, status: row.status, value: null, display: '+1 ••• ••• ••32', extension: null, country: row.country, lineType: row.line_type,
      channels: ['sms', 'voice'], purposes: ['mfa', 'recovery', 'notice'], isDefault: row.is_default, pendingChange: null, addedBy: row.added_by,
      createdAt: row.created_at!.toISOString(), verifiedAt: row.verified_at!.toISOString(), lastUsedAt: null, updatedAt: row.updated_at!.toISOString(), version: row.version,
    })),
  }
})
process.once('SIGTERM', () => process.exit(0))
await app.listen({ port: Number(process.env.PORT), host: '127.0.0.1' })
