import { createECDH, createPrivateKey, createPublicKey, hash, hkdfSync, type KeyObject } from 'node:crypto'
import type { KeyRing } from './keys.ts'

/** The public half of a proof key as it is published (RFC 7517). It has no private member. */
export interface PublicProofKey { kty: 'EC', crv: 'P-256', x: string, y: string, kid: string, alg: 'ES256', use: 'sig' }

/** One P-256 key for proofs. `kid` is its RFC 7638 thumbprint, so that it names the key and not its place in a ring. */
export interface ProofKey { kid: string, privateKey: KeyObject, publicKey: KeyObject, published: PublicProofKey }

/** The proof keys of a ring: `signing` is that of its newest version, and `all`, with that one first, are good for checking. */
export interface ProofKeys { signing: ProofKey, all: readonly ProofKey[] }

const label = 'latchkey/v1/proof-key/ES256'
/** The order of the curve's base point (FIPS 186-5, SEC 2: secp256r1). */
const order = 0xffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551n
/** 128 bits more than the order has, so that the remainder is as good as uniform (FIPS 186-5, A.2.1). */
const derivedBytes = 48
const coordinateBytes = 32

/** The same ring gives the same keys, on every replica: nothing has to be stored or handed around. */
export function proofKeysOf ({ newest, secrets }: KeyRing): ProofKeys {
  const signing = proofKeyOf(secrets.get(newest)!)
  return { signing, all: [signing, ...[...secrets].filter(([version]) => version !== newest).map(([, secret]) => proofKeyOf(secret))] }
}

function proofKeyOf (secret: Buffer): ProofKey {
  const derived = Buffer.from(hkdfSync('sha256', secret, Buffer.alloc(0), label, derivedBytes))
  const scalar = BigInt(`0x${derived.toString('hex')}`) % (order - 1n) + 1n
  const d = Buffer.from(scalar.toString(16).padStart(coordinateBytes * 2, '0'), 'hex')
  const pair = createECDH('prime256v1')
  pair.setPrivateKey(d)
  const point = pair.getPublicKey() // 0x04, x, y
  const x = point.toString('base64url', 1, 1 + coordinateBytes)
  const y = point.toString('base64url', 1 + coordinateBytes)
  const bare = { crv: 'P-256', kty: 'EC', x, y } as const // members in the order of RFC 7638
  const kid = hash('sha256', JSON.stringify(bare), 'base64url')
  return {
    kid,
    privateKey: createPrivateKey({ key: { ...bare, d: d.toString('base64url') }, format: 'jwk' }),
    publicKey: createPublicKey({ key: bare, format: 'jwk' }),
    published: { ...bare, kid, alg: 'ES256', use: 'sig' },
  }
}
