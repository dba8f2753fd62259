import type { MessageChannel, Purpose } from '../../vocabulary.ts'
import type { Content } from '../delivery/delivery.ts'

interface CodeMessage {
  channel: MessageChannel
  purpose: Purpose
  code: string
  organization: string | null
  /** The app that asked; null where a person did. */
  app: string | null
  lifetimeSeconds: number
  /** What an app asks the person to approve. */
  contextDisplay: string | null
}

const aims: Record<Purpose, string> = {
  verifyContact: 'confirm this contact method', signIn: 'sign in', stepUp: 'confirm that it is you', recovery: 'recover your access',
  callerCheck: 'confirm to the help desk that it is you', transaction: 'approve what is named',
}

/**
 * The text of a code. It names the app and the purpose and, but for a caller check, says that nobody will ask for the
 * code: there the help desk asks for it.
 */
export function codeMessage ({ channel, purpose, code, organization, app, lifetimeSeconds, contextDisplay }: CodeMessage): Content {
  const sender = [organization ?? 'Latchkey', app].filter(Boolean).join(', ')
  const good = lifetimeSeconds < 120 ? `${lifetimeSeconds} seconds` : `${Math.floor(lifetimeSeconds / 60)} minutes`
  const spoken = channel === 'voice' ? [...code].join(' ') : code
  const aim = contextDisplay === null ? aims[purpose] : `${purpose === 'transaction' ? 'approve' : aims[purpose]}: ${contextDisplay}`
  const advice = purpose === 'callerCheck' ? 'Tell it only to the help desk that you are speaking to now.' : 'No one will ask you for this code.'
  const body = `${sender}: ${spoken} is your code to ${aim}. It is good for ${good}. ${advice}`
  return { subject: channel === 'email' ? `${sender}: your code` : null, body, code }
}
