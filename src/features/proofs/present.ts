import { errors, jwtVerify, type JWTHeaderParameters, type JWTPayload } from 'jose'
import type { Actor, Deps, GivenProof } from '../../platform/deps.ts'
import type { Keys } from '../../platform/keys.ts'
import { messageChannels, type Channel } from '../../vocabulary.ts'
import { audienceOf, proofAlgorithm, proofType, stepUpLifetimeSeconds } from './proofs.ts'
import { proofStanding, type StandingRow } from './queries.ts'

const skewSeconds = 30
const proofCharactersMax = 4_096
/** A method bound more lately than this does not recover: whoever could bind it could have done so just now. */
const settledAfterSeconds = 24 * 3600

/**
 * The proof that came beside the token, if it is signed by us, in force, of the caller's tenant and for them, and if
 * the database holds the challenge that it speaks of: approved, started by this caller, of the user's present epoch.
 * `unfit` is everything else; undefined where none came. What it is good for, authority says.
 */
export async function presentedProof (deps: Deps, actor: Actor, sent: readonly string[]): Promise<Actor['proof']> {
  if (sent.length === 0) return undefined
  const claims = sent.length === 1 ? await claimsOf(deps, actor, sent[0]!) : undefined
  if (!claims) return 'unfit'
  const [row] = await deps.db.readInTenant<StandingRow>(actor.tenantId, proofStanding, [claims.challengeId])
  return row && speaksOf(claims, row) && isOf(actor, row) ? givenProof(claims, row) : 'unfit'
}

interface ProofClaims { challengeId: string, userId: string, purpose: GivenProof['purpose'], epoch: number }

/** What a proof says that is for this caller, by our own keys only; undefined if anything about it is wrong. */
async function claimsOf (deps: Deps, actor: Actor, proof: string): Promise<ProofClaims | undefined> {
  if (proof.length > proofCharactersMax) return undefined
  const audience = audienceOf(deps, { kind: actor.kind, id: actor.subject })
  try {
    const { payload } = await jwtVerify(proof, (header) => keyNamed(deps.keys, header), {
      algorithms: [proofAlgorithm], typ: proofType, issuer: deps.proofIssuer, audience, requiredClaims: ['exp', 'iat', 'sub', 'jti'],
      clockTolerance: skewSeconds, maxTokenAge: stepUpLifetimeSeconds, currentDate: actor.serverNow,
    })
    return payload.aud === audience && payload.tenant === actor.tenantSlug ? read(payload) : undefined
  } catch {
    return undefined // nothing in here but what was sent can be at fault
  }
}

/** Our own keys by their own names. Whatever else a header says of keys and where to get them is not looked at. */
function keyNamed ({ proofKeys }: Keys, { kid }: JWTHeaderParameters) {
  const key = proofKeys.all.find((one) => one.kid === kid)
  if (!key) throw new errors.JWKSNoMatchingKey()
  return key.publicKey
}

const uuidPattern = /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/

function read ({ jti = '', sub = '', purpose, epoch }: JWTPayload): ProofClaims | undefined {
  if (!uuidPattern.test(jti) || typeof epoch !== 'number') return undefined
  return purpose === 'stepUp' || purpose === 'recovery' ? { challengeId: jti, userId: sub, purpose, epoch } : undefined
}

/** A forged proof needs a challenge in the database, too, and a stolen row needs a signature. */
const speaksOf = ({ userId, purpose, epoch }: ProofClaims, row: StandingRow): boolean =>
  row.user_id === userId && row.purpose === purpose && row.mfa_epoch === epoch && row.current_epoch === epoch

/** Only who started a challenge may use its proof, and a person only one of themself. */
const isOf = ({ kind, subject }: Actor, row: StandingRow): boolean =>
  row.starter_kind === kind && row.starter_id === subject && (kind === 'app' || row.user_id === subject)

function givenProof (claims: ProofClaims, row: StandingRow): GivenProof {
  const channel = row.channel as Channel
  const boundSeconds = row.bound_at && (row.approved_at.getTime() - row.bound_at.getTime()) / 1000
  const settled = !messageChannels.some((one) => one === channel) || (boundSeconds !== null && boundSeconds >= settledAfterSeconds)
  return { ...claims, channel, strongest: row.strongest, settled }
}
