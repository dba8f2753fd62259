import type { Test } from 'tap'
import { asOwner } from './cluster.ts'
import type { Reply } from './socket.ts'
import type { TestService } from './service.ts'

/** Words that only someone who can see the inside would know. */
const inside = /node_modules|\bat \S+ \(|\.ts\b|fastify|\bajv\b|FST_|HPE_|ERR_|postgres|kysely|\bselect\b.*\bfrom\b|relation "|constraint|undefined|\[object|\/src\/|Error:/i

/** What holds for every error, whatever it is: one form, an id that is also in the header, nothing kept, nothing told of the inside. */
export function fitsEveryProblem (t: Test, reply: Reply | undefined, name: string): void {
  const header = (field: string) => reply?.headers.get(field) ?? ''
  const { status, type, code, instance } = reply?.body ?? {}
  t.strictSame({
    mediaType: header('content-type').replace('; charset=utf-8', ''), cacheControl: header('cache-control'), status, type,
    instance: instance === header('x-request-id') && /^[\w.-]{1,128}$/.test(instance), told: inside.exec(reply?.text ?? '')?.[0] ?? 'nothing of the inside',
  }, {
    mediaType: 'application/problem+json', cacheControl: 'no-store', status: reply?.status, type: `/problems/${code}`,
    instance: true, told: 'nothing of the inside',
  }, `${name}: a problem like every other`)
}

/** The rows of all tables, as one text: equal before and after where nothing may change. Numbering audit rows, and counting who searched, is no change. */
export async function contentsOf ({ database }: TestService): Promise<string> {
  return asOwner(database.ownerUrl, async (client) => {
    const { rows: tables } = await client.query<{ name: string }>(`
      select tablename as name from pg_tables where schemaname = 'public' and tablename not in ('audit_seals', 'audit_unsealed', 'send_windows') order by 1`)
    const digestOf = (table: string) => `select '${table} ' || count(*) || ' ' || coalesce(md5(string_agg(r::text, '|' order by r::text)), '') as line from ${table} r`
    const { rows } = await client.query<{ line: string }>(tables.map(({ name }) => digestOf(name)).join(' union all '))
    return rows.map(({ line }) => line).join('\n')
  })
}
