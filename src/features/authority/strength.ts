import type { TenantTx } from '../../platform/db/index.ts'
import type { Channel } from '../../vocabulary.ts'
import { authenticationBy } from '../proofs/proofs.ts'
import { selectStrongest } from './queries.ts'

/** How strong a second factor is, in the order of `rules.md`: passkey > totp > phone > e-mail. Zero is none. */
export const strength = { none: 0, email: 1, phone: 2, totp: 3, passkey: 4 } as const

const strengthOfValue: Readonly<Record<string, number>> = {
  hwk: strength.passkey, swk: strength.passkey, sc: strength.passkey,
  otp: strength.totp, mfa: strength.totp,
  sms: strength.phone, tel: strength.phone,
  email: strength.email,
}

/** Channels that say how an `otp` arrived: beside one of them (`otp sms`) it is no authenticator app. */
const channelValues = ['sms', 'tel', 'email']

/** The strongest second factor that `amr` (RFC 8176) names; `pwd`, `pin`, `kba` and unknown values name none. */
export function strengthOf (amr: readonly string[]): number {
  const sent = amr.some((value) => channelValues.includes(value))
  return Math.max(strength.none, ...amr.filter((value) => !(sent && value === 'otp')).map((value) => strengthOfValue[value] ?? strength.none))
}

/** How strong the proof of a challenge by this channel is. A recovery code and a pass count as the strongest. */
export const strengthBy = (channel: Channel): number => {
  const { amr, acr } = authenticationBy[channel]
  return acr === 'latchkey:recovery' ? strength.passkey : strengthOf(amr)
}

/** How strong the strongest method is that the user has. With the user locked, it stays so until the transaction ends. */
export const strongestOf = (tx: TenantTx, userId: string): Promise<number> => selectStrongest(tx, userId)
