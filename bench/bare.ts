import Fastify from 'fastify'
import pg from 'pg'
import { ContactMethod, ContactMethodList } from '../src/features/contact-methods/schema.ts'
import { SignInRequirements } from '../src/features/sign-in/schema.ts'

/**
 * The yardstick: bare Fastify handlers, a pool of 10, one named select as the owner of the table, the same response
 * schema; no token, no tenant, no transaction, no decryption, no log. That of the sign-in reads neither policy nor locks
 * and asks for the columns that it shows, and for no others.
 */
const pool = new pg.Pool({ connectionString: process.env.BENCH_OWNER_URL!, max: 10 })
const app = Fastify()
app.addSchema(ContactMethod)
app.addSchema(ContactMethodList)
app.addSchema(SignInRequirements)

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
app.get('/v1/users/:userId/sign-in-requirements', {
  schema: { response: { 200: { $ref: 'SignInRequirements#' } } },
}, async (request) => {
  const { userId } = request.params as { userId: string }
  const { rows } = await pool.query({
    name: 'bare-sign-in', values: [process.env.BENCH_TENANT, userId],
    text: `select u.status, u.sessions_valid_from, u.devices_valid_from, m.id, m.kind, m.value, m.line_type, m.is_default, m.default_channel
             from users u left join contact_methods m on m.tenant_id = u.tenant_id and m.user_id = u.user_id and m.status = 'active'
            where u.tenant_id = $1 and u.user_id = $2`,
  })
  return {
    userId, state: 'registered', since: null, reason: null, next: 'challenge', registration: { missing: [], acceptedProofs: [], deadline: null },
    methods: rows.filter(({ kind }) => kind === 'mobilePhone').map((row) => ({ id: row.id, kind: row.kind, display: '+1 ••• ••• ••32', channels: ['sms', 'voice'], isDefault: row.is_default })),
    lockedUntil: null, frozenUntil: null, sessionsValidFrom: rows[0].sessions_valid_from, devicesValidFrom: rows[0].devices_valid_from,
  }
})
process.once('SIGTERM', () => process.exit(0))
await app.listen({ port: Number(process.env.PORT), host: '127.0.0.1' })
