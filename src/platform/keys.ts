import { createCipheriv, createDecipheriv, createHmac, createSecretKey, hkdfSync, randomBytes, timingSafeEqual, type KeyObject } from 'node:crypto'
import { proofKeysOf, type ProofKeys } from './proof-keys.ts'

/**
 * The key ring: versioned master secrets that are never in the database. Every other key is derived from one of them
 * with HKDF-SHA-256 (RFC 5869), per purpose and tenant. New data uses the newest version; old data names its own.
 * A version that is announced, and not in use yet, is among the secrets and never the newest.
 */
export interface KeyRing { newest: number, secrets: ReadonlyMap<number, Buffer> }

export type KeyPurpose =
  | 'field' | 'blind-index' | 'code' | 'audit' | 'idempotency' | 'cursor' | 'message' | 'organization' | 'approval' | 'decoy' | 'link' | 'database-password'

/** What a blind index is of: equal values of two kinds give different indexes. */
export type IndexKind = 'phone' | 'destination' | 'email' | 'email-normal' | 'prefix' | 'client-address'

const secretBytes = 32
/** A sealed field names its version in two bytes. */
const versionMax = 65_535

/**
 * Reads `KEY_RING`: `version:base64,version:base64`, each secret of 32 bytes, the highest version newest. A `+` before
 * a version announces it: it opens, checks and is published, but nothing is sealed or signed with it yet. Throws
 * without printing any of it.
 */
export function parseKeyRing (text: string): KeyRing {
  const secrets = new Map<number, Buffer>()
  const inUse: number[] = []
  for (const entry of text.split(',').map((part) => part.trim()).filter(Boolean)) {
    const [, announced, version, encoded] = /^(\+?)([1-9]\d{0,4}):([A-Za-z0-9+/_-]+={0,2})$/.exec(entry) ?? []
    const secret = Buffer.from(encoded ?? '', 'base64')
    if (version === undefined || Number(version) > versionMax || secret.length !== secretBytes) {
      throw new Error('KEY_RING must be "version:base64" entries, comma-separated, each secret of 32 bytes')
    }
    if (secrets.has(Number(version))) throw new Error('KEY_RING names a version twice')
    secrets.set(Number(version), secret)
    if (announced === '') inUse.push(Number(version))
  }
  if (secrets.size === 0) throw new Error('KEY_RING is empty')
  if (inUse.length === 0) throw new Error('KEY_RING needs a version without +, which is in use')
  return { newest: Math.max(...inUse), secrets }
}

/** A key ring of one fresh secret, as text. */
export const newKeyRingText = (version = 1) => `${version}:${randomBytes(secretBytes).toString('base64')}`

/** Derived keys are few per tenant and purpose; the bound keeps a server of very many tenants from holding them all. */
const derivedKeysMax = 20_000

/** Everything that needs a key: sealing fields, blind indexes, MACs. It holds the ring; nobody else does. */
export interface Keys {
  /** Encrypts with AES-256-GCM under the newest version, bound to `context` (additional data). */
  seal: (purpose: KeyPurpose, tenantId: string, context: readonly string[], plain: string) => Buffer
  /** Decrypts what `seal` made; throws if a bit, the key or the context differs. */
  open: (purpose: KeyPurpose, tenantId: string, context: readonly string[], sealed: Buffer) => string
  /** HMAC-SHA-256 under one version (the newest unless told). */
  mac: (purpose: KeyPurpose, tenantId: string, parts: readonly string[], version?: number) => Buffer
  /** Constant-time check of what `mac` made. */
  macMatches: (purpose: KeyPurpose, tenantId: string, parts: readonly string[], version: number, mac: Buffer) => boolean
  /** Blind index of a value: the version (2 bytes) and its HMAC. Equal values of one tenant give equal indexes. */
  blindIndex: (tenantId: string, kind: IndexKind, value: string) => Buffer
  /** The indexes a value may have been stored under, one per version of the ring. */
  blindIndexes: (tenantId: string, kind: IndexKind, value: string) => Buffer[]
  newest: number
  oldest: number
  /** Whether the ring has this version. */
  knows: (version: number) => boolean
  /** The key pairs that sign and check proofs; made at the first need. */
  readonly proofKeys: ProofKeys
}

const nonceBytes = 12
const tagBytes = 16
const headerBytes = 2

/** Parts are length-prefixed, so that no two lists of parts give the same bytes. */
const joined = (parts: readonly string[]) => {
  const bytes = Buffer.allocUnsafe(parts.reduce((length, part) => length + 4 + Buffer.byteLength(part, 'utf8'), 0))
  let start = 0
  for (const part of parts) {
    const length = bytes.write(part, start + 4, 'utf8')
    bytes.writeUInt32BE(length, start)
    start += 4 + length
  }
  return bytes
}

export function keysOf (ring: KeyRing): Keys {
  const derived = new Map<string, KeyObject>()
  let proofKeys: ProofKeys | undefined

  const key = (purpose: KeyPurpose, tenantId: string, version: number) => {
    const name = `${version}/${purpose}/${tenantId}`
    const known = derived.get(name)
    if (known) return known
    const secret = ring.secrets.get(version)
    if (!secret) throw new Error(`The key ring has no version ${version}`)
    // A key object: with bare bytes each use would make one anew, which costs more than the decryption itself.
    const made = createSecretKey(Buffer.from(hkdfSync('sha256', secret, Buffer.alloc(0), `latchkey/v1/${purpose}/${tenantId}`, 32)))
    if (derived.size >= derivedKeysMax) derived.clear()
    derived.set(name, made)
    return made
  }

  const mac: Keys['mac'] = (purpose, tenantId, parts, version = ring.newest) =>
    createHmac('sha256', key(purpose, tenantId, version)).update(joined(parts)).digest()

  const indexUnder = (tenantId: string, kind: string, value: string, version: number) => {
    const header = Buffer.allocUnsafe(headerBytes)
    header.writeUInt16BE(version)
    return Buffer.concat([header, mac('blind-index', tenantId, [kind, value], version)])
  }

  return {
    newest: ring.newest,
    oldest: Math.min(...ring.secrets.keys()),
    knows: (version) => ring.secrets.has(version),
    get proofKeys () { return proofKeys ??= proofKeysOf(ring) },
    seal (purpose, tenantId, context, plain) {
      const nonce = randomBytes(nonceBytes)
      const cipher = createCipheriv('aes-256-gcm', key(purpose, tenantId, ring.newest), nonce)
      cipher.setAAD(joined([tenantId, ...context]))
      const header = Buffer.allocUnsafe(headerBytes)
      header.writeUInt16BE(ring.newest)
      const text = Buffer.concat([cipher.update(plain, 'utf8'), cipher.final()])
      return Buffer.concat([header, nonce, text, cipher.getAuthTag()])
    },
    open (purpose, tenantId, context, sealed) {
      if (sealed.length < headerBytes + nonceBytes + tagBytes) throw new Error('A sealed field is too short')
      const version = sealed.readUInt16BE(0)
      const nonce = sealed.subarray(headerBytes, headerBytes + nonceBytes)
      const decipher = createDecipheriv('aes-256-gcm', key(purpose, tenantId, version), nonce, { authTagLength: tagBytes })
      decipher.setAAD(joined([tenantId, ...context]))
      decipher.setAuthTag(sealed.subarray(sealed.length - tagBytes))
      const plain = decipher.update(sealed.subarray(headerBytes + nonceBytes, sealed.length - tagBytes))
      decipher.final() // throws unless every bit is as it was sealed
      return plain.toString('utf8')
    },
    mac,
    macMatches: (purpose, tenantId, parts, version, expected) =>
      ring.secrets.has(version) && expected.length === 32 && timingSafeEqual(mac(purpose, tenantId, parts, version), expected),
    blindIndex: (tenantId, kind, value) => indexUnder(tenantId, kind, value, ring.newest),
    blindIndexes: (tenantId, kind, value) => [...ring.secrets.keys()].map((version) => indexUnder(tenantId, kind, value, version)),
  }
}

/** The password of a login role, so that no password has to be handed around beside the key ring. */
export const databasePasswordOf = (ring: KeyRing, role: string): string => {
  const oldest = ring.secrets.get(Math.min(...ring.secrets.keys()))
  if (!oldest) throw new Error('The key ring is empty')
  return Buffer.from(hkdfSync('sha256', oldest, Buffer.alloc(0), `latchkey/v1/database-password/${role}`, 32)).toString('base64url')
}
