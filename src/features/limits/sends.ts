import { sql } from 'kysely'
import { networkOf } from '../../platform/addresses/ip.ts'
import { prefixOf } from '../../platform/addresses/phone.ts'
import { bytesText } from '../../platform/db/json.ts'
import type { TenantTx } from '../../platform/db/index.ts'
import type { Keys } from '../../platform/keys.ts'
import type { PolicyDocument } from '../policy/schema.ts'

/** The buckets of a send, in which one that has no room refuses (`take_send`). */
export const sendBuckets = ['user', 'clientAddress', 'prefix', 'prefixBreach', 'budget', 'destination'] as const
export type SendBucket = typeof sendBuckets[number]

export interface Send {
  /** E.164; null for an e-mail, which has no prefix, and for a decoy. */
  number: string | null
  /** Whether the method it goes to was verified before. */
  proven: boolean
  /** Nothing is sent for a decoy. It counts all the same, but for the budget. */
  decoy: boolean
  /**
   * A decoy under a method that is not its user's. It counts apart from the user's own sends, with the same limit: else
   * anyone who makes up methods could use up what the user may be sent in an hour, without a single message.
   */
  stray: boolean
  /** Of the client address that came with the start (`addressBucketOf`), if one did. */
  addressBucket: string | null
}

/** The prefix whose sends this one counts among; null where it counts in none. */
export const prefixIndexOf = (keys: Keys, tenantId: string, { number, proven }: Send): Buffer | null =>
  number === null || proven ? null : keys.blindIndex(tenantId, 'prefix', prefixOf(number))

/** The bucket of a client address: an IPv4 address, or the /64 of an IPv6 address. It does not tell the address. */
export function addressBucketOf (keys: Keys, tenantId: string, clientAddress: string | undefined): string | null {
  const network = clientAddress === undefined ? null : networkOf(clientAddress)
  return network && `address:${keys.blindIndex(tenantId, 'client-address', network).toString('base64')}`
}

/** What `take_send` needs to know of a send, as JSON. Numbers and addresses go in as blind indexes. */
export function sendArgument (keys: Keys, tenantId: string, { limits, sendsPerDay }: Pick<PolicyDocument, 'limits' | 'sendsPerDay'>, send: Send): string {
  const prefixIndex = prefixIndexOf(keys, tenantId, send)
  const { userPerHour, clientAddressPerHour, prefixPerHour, destinationPerTenMinutes, destinationPerDay } = limits
  return JSON.stringify({
    proven: send.proven, paid: !send.decoy, stray: send.stray, sendsPerDay, userPerHour, clientAddressPerHour, prefixPerHour, destinationPerTenMinutes, destinationPerDay,
    addressBucket: send.addressBucket,
    // The number may have been verified under an older key.
    ...(prefixIndex && { prefixIndex: bytesText(prefixIndex), prefix: prefixOf(send.number!), valueIndexes: keys.blindIndexes(tenantId, 'phone', send.number!).map(bytesText) }),
  })
}

interface Sent { id: string, user_id: string, destination_index: Buffer }

/** What no provider took does not count against the user and the destination; what was sent for the same challenge before does. */
export async function forgetNewestSend ({ db }: TenantTx, { id, user_id: userId, destination_index: destination }: Sent): Promise<void> {
  await sql`select forget_newest_send(${id}, ${userId}, ${destination})`.execute(db)
}
