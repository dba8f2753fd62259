import { createRemoteJWKSet, customFetch, errors, type FlattenedJWSInput, type JWTVerifyGetKey } from 'jose'

/** The issuer's key address did not answer with keys: there is no verdict about the token at all. */
export class KeysOutOfReach extends Error {}

export interface IssuerKeys {
  find: JWTVerifyGetKey
  /** Asks for the keys again, if it may by now. Never throws. */
  refresh: () => Promise<void>
}

const keptMs = 3_600_000
const answerWithinMs = 3_000
const patientMs = 30_000
const urgentMs = 1_000

/**
 * The keys of one issuer, from the configured address only. A key that is not known has them asked for again, but at
 * most every 30 s whatever comes back, so that forged tokens cannot be turned on the issuer; every second while there
 * is no key at all. Known keys go on working for an hour while the issuer is down.
 */
export function issuerKeys (address: string, elapsedMs: () => number): IssuerKeys {
  let askedAtMs = -Infinity
  let reached = true
  const keys = createRemoteJWKSet(new URL(address), {
    cacheMaxAge: keptMs, cooldownDuration: 0, timeoutDuration: answerWithinMs,
    [customFetch]: async (url, options) => {
      if (elapsedMs() < askedAtMs + (keys.fresh ? patientMs : urgentMs)) throw reached ? new errors.JWKSNoMatchingKey() : new KeysOutOfReach()
      askedAtMs = elapsedMs()
      reached = true
      return fetch(url, options)
    },
  })
  const judged = (error: unknown) => {
    if (verdicts.some((verdict) => error instanceof verdict)) return error
    reached = false
    return new KeysOutOfReach('The keys of the issuer are out of reach', { cause: error })
  }
  return {
    find: (header, token: FlattenedJWSInput) => keys(header, token).catch((error: unknown) => { throw judged(error) }),
    refresh: () => keys.reload().catch((error: unknown) => { judged(error) }),
  }
}

/** What says something about the token, and not about the issuer. */
const verdicts = [errors.JWKSNoMatchingKey, errors.JWKSMultipleMatchingKeys, errors.JOSENotSupported, errors.JOSEAlgNotAllowed]
