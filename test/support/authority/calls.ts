import type { Answer, Client } from '../service.ts'

/** Whom a call is about. The ids are of nothing where the user has no such thing. */
export interface Aim { userId: string, phone: string, alternate: string, email: string, authenticatorId: string }

export type Call = (client: Client, aim: Aim) => Promise<Answer>

const at = ({ userId }: Aim, path = '') => `/v1/users/${userId}${path}`
const start = (purpose: string, more: (aim: Aim) => object = () => ({})): Call => (client, aim) => client.post('/v1/challenges', { userId: aim.userId, purpose, ...more(aim) })
const everything = { scope: 'all', reason: 'lostDevice' }

let numbers = 0
/** A number that nobody has yet: +1 415 556 …, none of which ends in 98 or 99. */
export const nextNumber = () => `+1415556${20 + Math.floor(numbers / 90)}${String(numbers++ % 90).padStart(2, '0')}`

/** Each route about a user, as someone would call it who means it. */
export const callsOnUsers: Record<string, Call> = {
  'GET user': (client, aim) => client.get(at(aim)),
  'GET user?reveal': (client, aim) => client.get(at(aim, '?reveal=true')),
  'PUT user': (client, aim) => client.put(at(aim), { displayName: 'Someone', locale: 'fr' }),
  'PUT user:email': (client, aim) => client.put(at(aim), { signInEmail: `${aim.userId}@example.com` }),
  'PUT user:status': (client, aim) => client.put(at(aim), { status: 'disabled' }),
  'DELETE privilege': (client, aim) => client.delete(at(aim, '/privilege')),
  'GET methods': (client, aim) => client.get(at(aim, '/contact-methods')),
  'GET methods?reveal': (client, aim) => client.get(at(aim, '/contact-methods?reveal=true')),
  'GET method': (client, aim) => client.get(at(aim, `/contact-methods/${aim.phone}`)),
  'POST method': (client, aim) => client.post(at(aim, '/contact-methods'), { kind: 'officePhone', value: nextNumber() }),
  'POST method:vouched': (client, aim) => client.post(at(aim, '/contact-methods'), { kind: 'officePhone', value: nextNumber(), preVerified: true, reason: 'seen in person' }),
  'PATCH method': (client, aim) => client.patch(at(aim, `/contact-methods/${aim.phone}`), { label: 'Mine' }),
  'PATCH method:value': (client, aim) => client.patch(at(aim, `/contact-methods/${aim.phone}`), { value: nextNumber() }),
  'DELETE method': (client, aim) => client.delete(at(aim, `/contact-methods/${aim.email}`)),
  'PUT default': (client, aim) => client.put(at(aim, '/default-method'), { methodId: aim.alternate }),
  'GET authenticators': (client, aim) => client.get(at(aim, '/authenticators')),
  'GET authenticator': (client, aim) => client.get(at(aim, `/authenticators/${aim.authenticatorId}`)),
  'DELETE authenticator': (client, aim) => client.delete(at(aim, `/authenticators/${aim.authenticatorId}`)),
  'POST pass': (client, aim) => client.post(at(aim, '/authenticators/temporary-access-pass'), {}),
  'start verifyContact': start('verifyContact', ({ alternate }) => ({ methodId: alternate })),
  'start signIn': start('signIn'),
  'start stepUp': start('stepUp'),
  'start recovery': start('recovery'),
  'start transaction': start('transaction', () => ({ context: { display: 'Pay 10 to Bob' } })),
  'start callerCheck': start('callerCheck'),
  'GET lockout': (client, aim) => client.get(at(aim, '/lockout')),
  'DELETE lockout': (client, aim) => client.delete(at(aim, '/lockout')),
  'POST revocation': (client, aim) => client.post(at(aim, '/session-revocations')),
  'GET requirements': (client, aim) => client.get(at(aim, '/sign-in-requirements')),
  'POST reset': (client, aim) => client.post(at(aim, '/mfa-resets'), everything),
  'POST reset?dryRun': (client, aim) => client.post(at(aim, '/mfa-resets?dryRun=true'), everything),
  'GET resets': (client, aim) => client.get(at(aim, '/mfa-resets')),
  'POST offboarding': (client, aim) => client.post(at(aim, '/offboarding')),
  'POST offboarding?dry': (client, aim) => client.post(at(aim, '/offboarding?dryRun=true')),
  'GET offboarding': (client, aim) => client.get(at(aim, '/offboarding')),
  'DELETE offboarding': (client, aim) => client.delete(at(aim, '/offboarding')),
  'GET export': (client, aim) => client.get(at(aim, '/export')),
  'GET timeline': (client, aim) => client.get(at(aim, '/timeline')),
  'GET allowed-actions': (client, aim) => client.get(at(aim, '/allowed-actions')),
}

/** What waits for a second person, and a reset, for the routes that name them. */
interface Named { theirs: string, own: string, aboutMe: string, resetId: string }

export const callsOnTenants: Record<string, (client: Client, named: Named) => Promise<Answer>> = {
  'GET users': (client) => client.get('/v1/users'),
  'POST users/search': (client) => client.post('/v1/users/search', { email: 'nobody@example.com' }),
  'GET policy': (client) => client.get('/v1/policy'),
  'PATCH policy': (client) => client.patch('/v1/policy', { codes: { length: 7 } }),
  'PATCH policy?dryRun': (client) => client.patch('/v1/policy?dryRun=true', { codes: { length: 8 } }),
  'PATCH policy:weaker': (client) => client.patch('/v1/policy', { preVerified: true }),
  'GET organization': (client) => client.get('/v1/organization'),
  'PATCH organization': (client) => client.patch('/v1/organization', { locale: 'fr' }),
  'PATCH security contact': (client) => client.patch('/v1/organization', { securityContact: { name: 'Desk', email: 'desk@example.net' } }),
  'GET audit': (client) => client.get('/v1/audit-events'),
  'GET audit/export': (client) => client.get('/v1/audit-events/export'),
  'GET audit/verification': (client) => client.get('/v1/audit-events/verification'),
  'GET prefix-blocks': (client) => client.get('/v1/fraud/prefix-blocks'),
  'DELETE prefix-block': (client) => client.delete('/v1/fraud/prefix-blocks/1415557'),
  'GET approvals': (client) => client.get('/v1/approvals'),
  'GET approval': (client, { theirs }) => client.get(`/v1/approvals/${theirs}`),
  'POST approve': (client, { theirs }) => client.post(`/v1/approvals/${theirs}/approve`),
  'POST approve:own': (client, { own }) => client.post(`/v1/approvals/${own}/approve`),
  'POST approve:about me': (client, { aboutMe }) => client.post(`/v1/approvals/${aboutMe}/approve`),
  'POST reject': (client, { theirs }) => client.post(`/v1/approvals/${theirs}/reject`),
  'POST reject:about me': (client, { aboutMe }) => client.post(`/v1/approvals/${aboutMe}/reject`),
  'GET reset': (client, { resetId }) => client.get(`/v1/mfa-resets/${resetId}`),
  'POST collect': (client, { theirs }) => client.post(`/v1/approvals/${theirs}/collect`),
}

const names: Readonly<Record<string, string>> = {
  privileged_target: 'priv', self_administration: 'self', purpose: 'purp', reveal: 'rvl', policy_pre_verified: 'vouch', own_request: 'own',
}
const codes: Readonly<Record<string, string>> = { user_offboarded: 'gone', proof_required: 'proof', insufficient_user_authentication: '401', not_found: '404' }

/** What an answer says, as a cell of the table. */
export function heard ({ status, body }: Answer): string {
  if (status === 403 && body.code === 'forbidden') return names[body.rule as string] ?? String(body.rule)
  if (status >= 400) return codes[body.code as string] ?? `${status} ${body.code}`
  if (body?.dryRun !== true || body.allowed === undefined || body.removed === undefined) return String(status)
  return body.allowed === false ? `no:${body.rule}` : body.waitsForApproval === true ? 'waits' : 'yes'
}
