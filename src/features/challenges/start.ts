import { isIP } from 'node:net'
import type { TenantTx } from '../../platform/db/index.ts'
import type { Actor, Deps } from '../../platform/deps.ts'
import { notFound, Refusal } from '../../platform/refusal.ts'
import { messageChannels, type Channel, type MessageChannel } from '../../vocabulary.ts'
import { record } from '../audit/audit.ts'
import { judgeCaller } from '../authority/may.ts'
import { findDefaultMethod, judgeVerifier, knownMethod } from '../contact-methods/contact-methods.ts'
import { waitingValue } from '../contact-methods/activate.ts'
import { channelsOf, displayOf } from '../contact-methods/value.ts'
import { enqueue } from '../delivery/delivery.ts'
import { takeDestinationSend } from '../limits/destinations.ts'
import { organizationDefaults } from '../organization/organization.ts'
import { policyInForce } from '../policy/policy.ts'
import { lockedUser } from '../users/users.ts'
import { cancelChallenges, codeParts, toChallenge } from './challenges.ts'
import { insertChallenge, lockPending } from './queries.ts'
import type { Challenge, NewChallenge } from './schema.ts'
import { codeMessage } from './texts.ts'

const attemptsMax = 5

/**
 * Starts a challenge for a value that waits to be verified and writes its message, all in one transaction: what is
 * refused sends nothing, counts nothing and cancels nothing.
 */
export async function startChallenge (deps: Deps, tx: TenantTx, actor: Actor, input: NewChallenge): Promise<Challenge> {
  const userId = input.userId === 'me' && actor.kind === 'person' ? actor.subject : input.userId
  judgeCaller(actor, 'challenges.start', userId)
  if (input.purpose !== 'verifyContact') throw new Refusal('channel_not_available', 'Challenges of this purpose are not available yet.')
  if (input.context !== undefined) throw unfit('/context', 'not_allowed', 'is only for a transaction')
  if (input.clientAddress !== undefined && isIP(input.clientAddress) === 0) throw unfit('/clientAddress', 'address', 'is not an IP address')

  const user = await lockedUser(tx, userId)
  if (user.status !== 'active') throw notFound()
  const own = (await lockPending(tx, userId)).filter((row) => row.starter_kind === actor.kind && row.starter_id === actor.subject)
  const method = input.methodId === undefined ? await defaultMethod(tx, userId) : await knownMethod(tx, userId, input.methodId)
  const waiting = waitingValue(deps.keys, method, tx.now)
  if (!waiting) throw new Refusal('method_not_usable', 'There is no value of this method that waits to be verified.')
  const policy = await policyInForce(tx)
  if (actor.kind === 'app') judgeVerifier(actor, user, policy, method)
  const channel = channelFor(channelsOf(method.kind, waiting.lineType), input.channel)

  const id = deps.random.uuid()
  const send = await takeDestinationSend(tx, waiting.destinationIndex, id, policy.limits)
  if (!send.taken) {
    const there = own.findLast((row) => row.destination_index.equals(waiting.destinationIndex))
    throw new Refusal('send_limited', 'Too many codes went there lately. Wait, or use the code you have.', {
      retryAfterSeconds: Math.max(1, Math.ceil((send.availableAt.getTime() - tx.now.getTime()) / 1000)), ...(there && { challengeId: there.id }),
    })
  }
  // A value that nobody verifies in time is gone, and its last code with it.
  const untilGoneSeconds = Math.floor((method.pending_expires_at!.getTime() - tx.now.getTime()) / 1000)
  const lifetimeSeconds = Math.min(channel === 'email' ? policy.codes.emailSeconds : policy.codes.phoneSeconds, untilGoneSeconds)
  const code = deps.random.digits(policy.codes.length)
  const identity = { id, user_id: userId, method_id: method.id, purpose: input.purpose }
  const challenge = await insertChallenge(tx, {
    tenant_id: tx.tenantId, ...identity, channel, starter_kind: actor.kind, starter_id: actor.subject, status: 'pending',
    code_mac: deps.keys.mac('code', tx.tenantId, codeParts(identity, code)), code_key_version: deps.keys.newest, code_length: policy.codes.length,
    attempts_max: attemptsMax, destination_index: waiting.destinationIndex, destination: displayOf(method.kind, waiting.text), mfa_epoch: user.mfa_epoch,
    created_at: tx.now, expires_at: new Date(tx.now.getTime() + lifetimeSeconds * 1000), resend_available_at: send.availableAt, sends_remaining: send.remaining,
  })
  await cancelChallenges(tx, own.filter((row) => row.purpose === input.purpose && row.method_id === method.id).map((row) => row.id))

  const organization = await organizationDefaults(tx)
  await enqueue(deps, tx, {
    userId, challengeId: id, channel, kind: 'code', recipient: { to: waiting.text, extension: waiting.extension },
    content: codeMessage({ channel, purpose: input.purpose, code, organization: organization.name, app: actor.kind === 'app' ? actor.subject : null, lifetimeSeconds }),
  }, lifetimeSeconds)
  await record(deps, tx, actor, { action: 'challenge.started', userId, details: { challengeId: id, methodId: method.id, purpose: input.purpose, channel } })
  return toChallenge({ ...challenge, overdue: false, delivery: 'queued' })
}

const unfit = (pointer: string, code: string, message: string) =>
  new Refusal('validation_failed', 'The body does not fit the schema.', { errors: [{ pointer, code, message }] })

/** Without a method the default one is meant. */
async function defaultMethod (tx: TenantTx, userId: string) {
  const method = await findDefaultMethod(tx, userId)
  if (!method) throw new Refusal('no_usable_method', 'The user has no default method. Name the method.')
  return method
}

function channelFor (available: Channel[], wanted: Channel | undefined): MessageChannel {
  const channel = wanted ?? available[0]!
  if (!available.includes(channel)) throw new Refusal('channel_not_available', 'The method has no such channel.')
  return messageChannels.find((one) => one === channel)!
}
