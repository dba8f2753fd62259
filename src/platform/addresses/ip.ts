import { isIP } from 'node:net'
import ipaddr from 'ipaddr.js'

/**
 * The network that an address counts as: an IPv4 address itself, an IPv6 address by its /64, since a subscriber has all
 * of that. However it was written it is the same text; null if it is no address.
 */
export function networkOf (address: string): string | null {
  if (isIP(address) === 0) return null
  const parsed = ipaddr.process(address) // IPv4 inside IPv6 is IPv4
  return parsed instanceof ipaddr.IPv6 ? `${parsed.parts.slice(0, 4).map((part) => part.toString(16)).join(':')}::/64` : parsed.toString()
}
