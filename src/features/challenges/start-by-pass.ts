import type { Actor, Deps } from '../../platform/deps.ts'
import { notFound, Refusal } from '../../platform/refusal.ts'
import { passOf, passTriesMax, type PassOfUser } from '../authenticators/temporary-access-pass/pass.ts'
import { noCode } from './challenges.ts'
import { channelNotAvailable, channelsAllowed, takesPass } from './choose.ts'
import { decoyPassIds, isBlind, tells } from './decoys.ts'
import { attemptsMax, reachable, rowOf, startedEvent, type Prepared } from './row.ts'
import type { NewChallenge } from './schema.ts'
import type { Setting } from './setting.ts'

/** Where a challenge by pass goes: nowhere. */
const nowhere = Buffer.alloc(0)

/**
 * Prepares a challenge by pass where that is what was asked for, and `otherwise` any other. Nothing is sent, no limit of
 * sends is taken and no lock holds. Without a channel a recovery goes over the pass of a user who has nothing else to
 * recover with, and any challenge for which the policy leaves nothing else; not for a blind app where there is something
 * else, since it would learn so that there is a pass. What a blind app sees of a pass is the same
 * for everyone: an id that is derived, and no other answer than "wrong code" to what is wrong.
 */
export async function preparedByPass (deps: Deps, actor: Actor, setting: Setting, userId: string, input: NewChallenge, contextHash: Buffer | null, otherwise: () => Prepared): Promise<Prepared> {
  const { purpose, channel, methodId } = input
  const byPass = async (pass?: PassOfUser) => prepare(deps, actor, setting, userId, input, contextHash, pass ?? await passOf(deps, actor.tenantId, userId, isBlind(actor) ? undefined : methodId))
  if (channel === 'temporaryAccessPass') return byPass()
  if (channel !== undefined || !takesPass(purpose, setting.policy)) return otherwise()
  if (channelsAllowed(purpose, setting.policy).length === 0) return byPass()
  if (methodId === undefined) return purpose === 'recovery' && !isBlind(actor) ? withPassAtLast() : otherwise()
  if (isBlind(actor)) return decoyPassIds(deps.keys, actor.tenantId, setting, userId).includes(methodId) ? byPass() : otherwise()
  if (setting.user?.methods.some(({ id }) => id === methodId)) return otherwise()
  const named = await passOf(deps, actor.tenantId, userId, methodId)
  return named ? byPass(named) : otherwise()

  async function withPassAtLast (): Promise<Prepared> {
    try {
      return otherwise()
    } catch (error) {
      if (!(error instanceof Refusal) || error.code !== 'no_usable_method') throw error
      const pass = await passOf(deps, actor.tenantId, userId)
      if (!pass?.good) throw error
      return byPass(pass)
    }
  }
}

function prepare (deps: Deps, actor: Actor, setting: Setting, userId: string, input: NewChallenge, contextHash: Buffer | null, pass: PassOfUser | undefined): Prepared {
  const blind = isBlind(actor)
  const derived = decoyPassIds(deps.keys, actor.tenantId, setting, userId)
  const shown = blind ? input.methodId ?? derived.at(-1)! : null
  const stray = shown !== null && !derived.includes(shown)
  const id = deps.random.uuid()
  const given = {
    id, user_id: userId, shown_method_id: shown, channel: 'temporaryAccessPass', destination: null, destination_index: nowhere, code_length: null, prefix_index: null, address_bucket: null, context_hash: contextHash,
  }
  const outgoing = { message: null, sends: null, lifetimeSeconds: setting.policy.codes.phoneSeconds }
  const details = { challengeId: id, purpose: input.purpose, channel: 'temporaryAccessPass' }
  try {
    const { epoch } = reachable(actor, setting, userId, input)
    if (stray) throw notFound()
    const usable = requireUsable(setting, input, pass, epoch)
    return {
      number: null,
      row: rowOf(deps, actor, input, {
        ...given, method_id: usable.id, mfa_epoch: epoch, decoy: false, code_mac: usable.code_mac, code_key_version: usable.code_key_version,
        attempts_max: blind ? attemptsMax : Math.min(attemptsMax, passTriesMax - usable.wrong_tries),
      }),
      outgoing: { ...outgoing, event: startedEvent(deps, actor, setting, userId, { ...details, methodId: usable.id }), guard: { epoch, passId: usable.id, policyVersion: setting.policyVersion } },
    }
  } catch (error) {
    if (!blind || !tells(error)) throw error
    return {
      number: null,
      row: rowOf(deps, actor, input, {
        ...given, method_id: stray ? shown : derived[0]!, mfa_epoch: 0, decoy: true, code_mac: deps.keys.mac('code', actor.tenantId, noCode({ id })), code_key_version: deps.keys.newest, attempts_max: attemptsMax,
      }),
      outgoing: { ...outgoing, event: startedEvent(deps, actor, setting, userId, { ...details, decoy: true }), guard: null },
    }
  }
}

/** Why the pass cannot be used now, for who may know. */
function requireUsable ({ user }: Setting, { methodId }: NewChallenge, pass: PassOfUser | undefined, epoch: number): PassOfUser {
  if (pass?.good && pass.mfa_epoch === epoch) return pass
  if (!pass && user?.methods.some(({ id }) => id === methodId)) throw channelNotAvailable('The method has no such channel.')
  if (!pass && methodId !== undefined) throw notFound()
  throw new Refusal('no_usable_method', 'The user has no temporary access pass that can be used now.')
}
