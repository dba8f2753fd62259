import type { Actor, Deps } from '../../platform/deps.ts'
import type { TenantCall, TenantTx } from '../../platform/db/index.ts'
import { prefixOf } from '../../platform/addresses/phone.ts'
import { Refusal } from '../../platform/refusal.ts'
import { CompiledQuery } from 'kysely'
import { messageRow } from '../delivery/delivery.ts'
import { blockPrefix } from '../limits/prefix-blocks.ts'
import type { SendBucket } from '../limits/sends.ts'
import type { Purpose } from '../../vocabulary.ts'
import type { Destination } from './choose.ts'
import type { Setting } from './setting.ts'
import { codeMessage } from './texts.ts'

/** Makes a call in the caller's tenant. */
export type Run = <Row>(call: TenantCall<Row>) => Promise<Row[]>

/** In a transaction of its own, in one round trip. */
export const runAlone = ({ db }: Deps, { tenantId }: Actor): Run => (call) => db.call(tenantId, call)

/** In a transaction that is open. */
export const runIn = ({ db, tenantId }: TenantTx): Run => async <Row>({ statement: { text }, values }: TenantCall<Row>) =>
  (await db.executeQuery(CompiledQuery.raw(text, [tenantId, ...values]))).rows as Row[]

/** How often something is prepared anew because what it was prepared from has changed meanwhile. */
export const preparationsMax = 5

/** How long a new code is good for: a value that nobody verifies in time is gone, and its last code with it. */
export function lifetimeSecondsOf ({ policy, at }: Setting, { channel, method }: Destination, purpose: Purpose): number {
  const lifetimeSeconds = channel === 'email' ? policy.codes.emailSeconds : policy.codes.phoneSeconds
  if (purpose !== 'verifyContact' || method.pending_expires_at === null) return lifetimeSeconds
  return Math.min(lifetimeSeconds, Math.max(1, Math.floor((method.pending_expires_at.getTime() - at.getTime()) / 1000)))
}

interface CodeToSend { userId: string, challengeId: string, purpose: Purpose, code: string, lifetimeSeconds: number, contextDisplay: string | null }

/** The sealed message with a code. */
export const codeMessageRow = (deps: Deps, actor: Actor, { organization }: Setting, { channel, text, extension }: Destination, { userId, challengeId, purpose, code, lifetimeSeconds, contextDisplay }: CodeToSend) =>
  messageRow(deps, actor.tenantId, {
    userId, challengeId, channel, kind: 'code', recipient: { to: text, extension },
    content: codeMessage({ channel, purpose, code, organization, app: actor.kind === 'app' ? actor.subject : null, lifetimeSeconds, contextDisplay }),
  })

const details: Record<SendBucket, string> = {
  destination: 'Too many codes went there lately. Wait, or use the code you have.',
  user: 'Too many codes were sent to this user in the last hour and not used.',
  clientAddress: 'Too many codes were asked for from this client address in the last hour.',
  prefix: 'Numbers that start like this one get no codes for now: too many were sent to them and not used.',
  prefixBreach: 'Numbers that start like this one get no codes for now: too many were sent to them and not used.',
  budget: 'Today\'s budget of messages is used up.',
}

/** Why a send was refused, and until when, exact to the second. */
export function sendLimited (bucket: SendBucket, availableAt: Date, at: Date, pendingId: string | null): Refusal {
  return new Refusal('send_limited', details[bucket], {
    retryAfterSeconds: Math.max(1, Math.ceil((availableAt.getTime() - at.getTime()) / 1000)), ...(pendingId !== null && { challengeId: pendingId }),
  })
}

/** A breach blocks the prefix for everyone in the tenant, in a transaction of its own: the send is refused either way. */
export async function blockIfBreached (deps: Deps, actor: Actor, bucket: SendBucket, number: string | null): Promise<void> {
  if (bucket !== 'prefixBreach' || number === null) return
  await deps.db.inTenant(actor.tenantId, (tx) => blockPrefix(deps, tx, actor, prefixOf(number)))
}
