import { methodKinds, resetReasons, type MethodKind, type ResetReason } from '../../vocabulary.ts'

type Details = Readonly<Record<string, unknown>>

const methods: Record<MethodKind, string> = { mobilePhone: 'mobile phone', alternatePhone: 'alternate phone', officePhone: 'office phone', alternateEmail: 'alternate e-mail' }
const reasons: Record<ResetReason, string> = { lostDevice: 'lost device', newDevice: 'new device', compromised: 'someone else may have had access', left: 'left', other: 'another reason' }
const channels: Readonly<Record<string, string>> = { sms: 'text message', voice: 'call', email: 'e-mail', totp: 'authenticator app', passkey: 'passkey', recoveryCode: 'recovery code', temporaryAccessPass: 'temporary access pass' }

const methodOf = ({ kind }: Details) => methods[methodKinds.find((one) => one === kind)!] ?? 'contact method'
const reasonOf = ({ reason }: Details) => reasons[resetReasons.find((one) => one === reason)!]
const channelOf = ({ channel }: Details) => channels[String(channel)] ?? 'code'

/** What is told of each thing that is written down about a user, in plain words. What is not named here is not theirs to read. */
const sentences: Readonly<Record<string, (details: Details) => string>> = {
  'user.created': () => 'The account was made.',
  'user.changed': ({ fields }) => Array.isArray(fields) && fields.includes('signInEmail') ? 'The sign-in e-mail was changed.' : 'The profile was changed.',
  'user.markedPrivileged': () => 'The account became privileged.',
  'user.privilegeCleared': () => 'The account is not privileged any more.',
  'user.revealed': () => 'The sign-in e-mail was shown to an administrator in full.',
  'user.exported': () => 'Everything that is held about the account was exported.',
  'user.locked': () => 'Too many wrong codes: codes are not accepted for a while.',
  'user.frozen': () => 'Someone said that a change was not theirs: changes were frozen.',
  'user.signInEmailReverted': () => 'The earlier sign-in e-mail was brought back.',
  'user.offboarded': () => 'The account was closed.',
  'user.offboardingUndone': () => 'The account was opened again.',
  'lockout.lifted': () => 'The lock was lifted.',
  'freeze.lifted': () => 'Changes are possible again.',
  'contactMethod.added': (details) => `A ${methodOf(details)} was added. It counts once it is verified.`,
  'contactMethod.verified': (details) => `A contact method was verified by ${channelOf(details)}.`,
  'contactMethod.changed': () => 'A contact method was changed.',
  'contactMethod.changeVerified': (details) => `The new value of a contact method was verified by ${channelOf(details)}.`,
  'contactMethod.reverted': () => 'The earlier value of a contact method was brought back.',
  'contactMethod.removed': (details) => `The ${methodOf(details)} was removed.`,
  'contactMethod.disabled': () => 'A contact method was disabled after too many wrong codes.',
  'contactMethod.locked': () => 'A contact method was locked after too many wrong codes.',
  'contactMethods.revealed': () => 'Contact methods were shown to an administrator in full.',
  'defaultMethod.chosen': () => 'Another method is tried first at sign-in.',
  'challenge.approved': (details) => `A code was confirmed by ${channelOf(details)}.`,
  'challenge.exhausted': (details) => `Five wrong codes by ${channelOf(details)}.`,
  'mfa.reset': (details) => `The sign-in methods were reset${reasonOf(details) ? ` (${reasonOf(details)})` : ''}.`,
  'pass.issued': () => 'A temporary access pass was issued.',
  'pass.used': () => 'A temporary access pass was used.',
  'pass.voided': () => 'A temporary access pass was made void.',
  'sessions.revoked': () => 'All sessions were ended.',
  'breakGlass.used': () => 'An administrator acted without a second approver.',
}

/** The actions that a timeline tells of. */
export const toldActions: readonly string[] = Object.keys(sentences)

/** One sentence for something that was done. */
export const sentenceOf = (action: string, details: Details): string => sentences[action]!(details)
