import { sql } from 'kysely'
import type { TestService } from './service.ts'

const noTenant = '00000000-0000-0000-0000-000000000000'

/** What someone with the database in their hands can do: past every policy and grant, and committed. */
export const asSuperuser = <Row = Record<string, unknown>>({ owner }: Pick<TestService, 'owner'>, text: string): Promise<Row[]> =>
  owner.inTenant(noTenant, async ({ db }) => (await sql.raw<Row>(text).execute(db)).rows)
