import type { MessageChannel, Purpose } from '../../vocabulary.ts'
import type { Content } from '../delivery/delivery.ts'

interface CodeMessage {
  channel: MessageChannel
  purpose: Purpose
  code: string
  organization: string | null
  /** The app that asked; null where the person did. */
  app: string | null
  lifetimeSeconds: number
}

const aims: Record<Purpose, string> = {
  verifyContact: 'confirm this contact method', signIn: 'sign in', stepUp: 'confirm that it is you', recovery: 'recover your access',
  callerCheck: 'confirm to the help desk that it is you', transaction: 'approve what is named here',
}

/** The text of a code: it names the app and the purpose, and says that nobody will ask for the code. */
export function codeMessage ({ channel, purpose, code, organization, app, lifetimeSeconds }: CodeMessage): Content {
  const sender = [organization ?? 'Latchkey', app].filter(Boolean).join(', ')
  const good = lifetimeSeconds < 120 ? `${lifetimeSeconds} seconds` : `${Math.floor(lifetimeSeconds / 60)} minutes`
  const spoken = channel === 'voice' ? [...code].join(' ') : code
  const body = `${sender}: ${spoken} is your code to ${aims[purpose]}. It is good for ${good}. No one will ask you for this code.`
  return { subject: channel === 'email' ? `${sender}: your code` : null, body, code }
}
