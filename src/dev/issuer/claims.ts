import { scopes } from '../../vocabulary.ts'

export const allScopes = scopes.join(' ')

interface Person { tenant: string, roles: readonly string[], authTime: number | undefined, amr: readonly string[] | undefined }

/** What Latchkey reads from a person's token beside the standard claims; `authTime` in epoch seconds. */
export const personClaims = (person: Person) =>
  ({ tenant: person.tenant, roles: [...person.roles], auth_time: person.authTime, amr: [...person.amr ?? []] })

/** An app has a tenant and scopes: no roles, and nobody who signed in. */
export const appClaims = (tenant: string) => ({ tenant })
