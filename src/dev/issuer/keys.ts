import { randomBytes, randomUUID } from 'node:crypto'
import { chmod, link, mkdir, readFile, rm, writeFile } from 'node:fs/promises'
import { dirname } from 'node:path'
import { calculateJwkThumbprint, exportJWK, generateKeyPair, importJWK, type CryptoKey, type JWK } from 'jose'

export interface IssuerKeys {
  jwk: JWK & { kid: string }
  /** The same key, imported once: importing it for each token would cost more than signing. */
  privateKey: CryptoKey
  cookieKeys: string[]
}

/** Reads the keys, or makes them: two processes that start at once end with the same ones. */
export async function loadKeys (keyFile: string): Promise<IssuerKeys> {
  const stored = await read(keyFile) ?? await create(keyFile)
  // Someone may have copied the file with a wider mode. Where modes are not ours to set, the keys still work.
  await chmod(keyFile, 0o600).catch(() => {})
  const privateKey = await importJWK(stored.jwk, 'ES256')
  if (privateKey instanceof Uint8Array) throw new Error(`${keyFile} holds no ES256 key: delete it to get a new one.`)
  return { ...stored, privateKey }
}

type StoredKeys = Omit<IssuerKeys, 'privateKey'>

async function read (keyFile: string): Promise<StoredKeys | undefined> {
  const text = await readFile(keyFile, 'utf8').catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return undefined
    throw error
  })
  if (text === undefined) return undefined
  try {
    const { jwk, cookieKeys } = JSON.parse(text) as StoredKeys
    if (jwk.crv === 'P-256' && jwk.d && jwk.kid && cookieKeys.length > 0) return { jwk, cookieKeys }
  } catch {
    // Told below, without the cause: a parser quotes what it could not read, and that may be the key.
  }
  throw new Error(`${keyFile} is not a key file of the development issuer: delete it to get new keys.`)
}

async function create (keyFile: string): Promise<StoredKeys> {
  const { privateKey } = await generateKeyPair('ES256', { extractable: true })
  const jwk = await exportJWK(privateKey)
  const made = {
    jwk: { ...jwk, alg: 'ES256', use: 'sig', kid: await calculateJwkThumbprint(jwk) },
    cookieKeys: [randomBytes(32).toString('base64url')],
  }

  // Linking a finished file into place is atomic and fails if another process was first: then that one's keys hold.
  await mkdir(dirname(keyFile), { recursive: true })
  const draft = `${keyFile}.${randomUUID()}`
  try {
    await writeFile(draft, JSON.stringify(made), { mode: 0o600, flag: 'wx' })
    await link(draft, keyFile)
    return made
  } catch (error) {
    const first = (error as NodeJS.ErrnoException).code === 'EEXIST' ? await read(keyFile) : undefined
    if (!first) throw error
    return first
  } finally {
    await rm(draft, { force: true })
  }
}
