import { SignJWT } from 'jose'
import type { Deps } from '../../platform/deps.ts'
import type { PublicProofKey } from '../../platform/proof-keys.ts'
import type { Channel, Purpose } from '../../vocabulary.ts'

/** What an approved challenge says of itself. `epoch` is the user's MFA epoch, which a reset raises. */
export interface ProofSubject {
  tenantSlug: string
  challengeId: string
  userId: string
  purpose: Purpose
  channel: Channel
  starter: { kind: 'person' | 'app', id: string }
  epoch: number
  /** SHA-256 of the context's RFC 8785 form; null where the challenge has none. */
  contextHash: Buffer | null
  issuedAt: Date
}

export const proofType = 'latchkey-proof+jwt'
export const proofAlgorithm = 'ES256'

const lifetimeSeconds = 300
export const stepUpLifetimeSeconds = 600

/** How a channel is named to others (`amr`, RFC 8176, and `acr`). Never `mfa`: only the app knows whether a password came first. */
export const authenticationBy: Readonly<Record<Channel, { amr: readonly string[], acr: string }>> = {
  sms: { amr: ['otp', 'sms'], acr: 'latchkey:phone' },
  voice: { amr: ['otp', 'tel'], acr: 'latchkey:phone' },
  email: { amr: ['otp', 'email'], acr: 'latchkey:email' },
  totp: { amr: ['otp'], acr: 'latchkey:otp' },
  passkey: { amr: ['swk', 'user'], acr: 'latchkey:phishing-resistant' },
  recoveryCode: { amr: ['otp'], acr: 'latchkey:recovery' },
  temporaryAccessPass: { amr: ['otp'], acr: 'latchkey:recovery' },
}

/** Whom a proof is for: the app that started its challenge; Latchkey itself where a person did. */
export const audienceOf = ({ proofIssuer }: Pick<Deps, 'proofIssuer'>, starter: ProofSubject['starter']): string =>
  starter.kind === 'app' ? starter.id : proofIssuer

/** Signs the proof of an approved challenge. The same subject gives the same claims again, whenever and wherever it is signed. */
export async function signProof (deps: Pick<Deps, 'keys' | 'proofIssuer'>, subject: ProofSubject): Promise<string> {
  const { signing } = deps.keys.proofKeys
  const { amr, acr } = authenticationBy[subject.channel]
  const issuedAt = Math.floor(subject.issuedAt.getTime() / 1000)
  return new SignJWT({
    iss: deps.proofIssuer, aud: audienceOf(deps, subject.starter), sub: subject.userId, tenant: subject.tenantSlug, jti: subject.challengeId,
    purpose: subject.purpose, amr: [...amr], acr, epoch: subject.epoch, ...(subject.contextHash && { txn: subject.contextHash.toString('base64url') }),
    iat: issuedAt, exp: issuedAt + (subject.purpose === 'stepUp' ? stepUpLifetimeSeconds : lifetimeSeconds),
  }).setProtectedHeader({ alg: proofAlgorithm, typ: proofType, kid: signing.kid }).sign(signing.privateKey)
}

/** The public keys of all versions of the ring (RFC 7517): what anyone needs to check a proof without asking. */
export const publishedKeys = ({ keys }: Pick<Deps, 'keys'>): { keys: PublicProofKey[] } => ({ keys: keys.proofKeys.all.map(({ published }) => published) })
