import { SignJWT, type JWTPayload } from 'jose'
import type { Deps } from '../../platform/deps.ts'
import { proofAlgorithm } from './proofs.ts'

/** Signs what Latchkey states, under the published keys. Its type tells it from a proof. The same claims give the same statement again. */
export function signStatement ({ keys, proofIssuer }: Pick<Deps, 'keys' | 'proofIssuer'>, type: string, claims: JWTPayload, issuedAt: Date): Promise<string> {
  const { signing } = keys.proofKeys
  return new SignJWT({ ...claims, iss: proofIssuer, iat: Math.floor(issuedAt.getTime() / 1000) })
    .setProtectedHeader({ alg: proofAlgorithm, typ: type, kid: signing.kid }).sign(signing.privateKey)
}
