import type { Content } from '../delivery/delivery.ts'
import type { MessageChannel, MethodKind, ResetReason } from '../../vocabulary.ts'

/** What a text may name. Never a number, an address, a code or a token. */
export interface NoticeDetails {
  /** Which kind of method it is about. */
  method?: MethodKind
  /** Until when it holds. */
  until?: Date
  /** Why an administrator reset the user. */
  reason?: ResetReason
}

/** The method with each article, and whose account it is. */
interface Named { a: string, the: string, whose: string, until: string, reason: string }

/** What happened, in one sentence: `whose` is "your account", or for the security contact the account of a named user. */
const sentences = {
  methodAdded: { subject: 'a contact method was added', says: ({ a, whose }: Named) => `${a} was added to ${whose}. It counts once it is verified.` },
  methodVerified: { subject: 'a contact method was verified', says: ({ a, whose }: Named) => `${a} was verified and can now be used for ${whose}.` },
  methodChanged: { subject: 'a contact method was changed', says: ({ the, whose }: Named) => `${the} of ${whose} was changed to another one.` },
  methodRemoved: { subject: 'a contact method was removed', says: ({ the, whose }: Named) => `${the} of ${whose} was removed.` },
  methodDisabled: { subject: 'a contact method was disabled', says: ({ the, whose }: Named) => `${the} of ${whose} was disabled after too many wrong codes. It must be added anew.` },
  locked: { subject: 'too many wrong codes', says: ({ whose }: Named) => `Too many wrong codes were entered for ${whose}. Codes are not accepted for a while.` },
  signInEmailChanged: { subject: 'the sign-in e-mail was changed', says: ({ whose }: Named) => `The sign-in e-mail of ${whose} was changed.` },
  changeReverted: { subject: 'a change was undone', says: ({ whose }: Named) => `A change of ${whose} was undone by its earlier owner: what was there before is in force again.` },
  reset: { subject: 'sign-in methods were reset', says: ({ whose, reason }: Named) => `The sign-in methods of ${whose} were reset by an administrator${reason}.` },
  offboarded: { subject: 'the account was closed', says: ({ whose }: Named) => `All sign-in methods of ${whose} were removed and all sessions ended, because the user has left.` },
  passVoided: { subject: 'a temporary access pass was withdrawn', says: ({ whose }: Named) => `The temporary access pass of ${whose} was withdrawn and cannot be used any more.` },
  passIssued: { subject: 'a temporary access pass was issued', says: ({ whose }: Named) => `An administrator issued a temporary access pass for ${whose}.` },
  breakGlass: { subject: 'an emergency right was used', says: ({ whose }: Named) => `An administrator acted on ${whose} without a second approver.` },
  frozen: { subject: 'someone said: this was not me', says: ({ whose, until }: Named) => `Someone said that a change of ${whose} was not theirs. Changes are frozen until ${until}, all sessions are ended and the user must register again.` },
  noticesUsedUp: { subject: 'the notices of today are used up', says: () => 'So many notices were sent today that no more go out until midnight UTC. See the audit log for what is changed meanwhile.' },
} as const
export type NoticeKind = keyof typeof sentences

/** The sentences of a language; another one is another table. */
const languages: { [language: string]: typeof sentences } = { en: sentences }
const sentencesIn = (locale: string) => languages[locale.split('-')[0]!.toLowerCase()] ?? sentences

const methods: Record<MethodKind, string> = { mobilePhone: 'mobile phone', alternatePhone: 'alternate phone', officePhone: 'office phone', alternateEmail: 'alternate e-mail' }
const reasons: Record<ResetReason, string> = { lostDevice: ' (a lost device)', newDevice: ' (a new device)', compromised: ' (someone else may have had access)', left: ' (the user has left)', other: '' }
const named = (method: MethodKind | undefined) => method === undefined
  ? { a: 'A contact method', the: 'A contact method' }
  : { a: `${/^[ao]/.test(method) ? 'An' : 'A'} ${methods[method]}`, the: `The ${methods[method]}` }

/** Minutes and UTC are the same in every language. */
export const timeText = (at: Date) => `${at.toISOString().slice(0, 16).replace('T', ' ')} UTC`

interface Wording {
  kind: NoticeKind
  details: NoticeDetails
  /** BCP 47. */
  locale: string
  organization: string | null
  at: Date
  /** The user, where someone else is told about them. */
  about: string | null
}

/** What happened, in a sentence. */
export const happened = ({ kind, details, locale, about }: Pick<Wording, 'kind' | 'details' | 'locale' | 'about'>): string => sentencesIn(locale)[kind].says({
  ...named(details.method),
  whose: about === null ? 'your account' : `the account of user ${about}`, until: details.until === undefined ? 'further notice' : timeText(details.until),
  reason: details.reason === undefined ? '' : reasons[details.reason],
})

interface Linked { url: string, reverts: boolean, hours: number }

/** A notice as it goes out. A call has no link, which nobody could take down. */
export function noticeContent (channel: MessageChannel, wording: Wording, link: Linked | null): Content {
  const { kind, locale, organization, at, about } = wording
  const sender = organization ?? 'Latchkey'
  const what = happened(wording)
  const when = timeText(at)
  const who = about === null ? 'you' : 'the user'
  // Whoever is told of someone else without a link has the audit log.
  const withoutLink = about === null ? [`If it was not you, tell the help desk of ${sender} at once.`] : []
  if (channel === 'voice') return { subject: null, body: [`${sender}: ${what}`, `It was done at ${when}.`, ...withoutLink].join(' '), code: null }
  if (channel === 'sms') {
    const advice = link ? [`Not ${who}? ${link.reverts ? 'Undo it' : 'Stop it'} within ${link.hours} hours: ${link.url}`] : withoutLink
    return { subject: null, body: [`${sender}: ${what} ${when}.`, ...advice].join(' '), code: null }
  }
  const advice = link
    ? [`If it was ${who}, there is nothing to do. If it was not, open this link within ${link.hours} hours. It ${link.reverts ? 'brings back what was there before' : freezes}, once you confirm it on the page:`, link.url]
    : withoutLink
  return { subject: `${sender}: ${sentencesIn(locale)[kind].subject}`, body: [`${sender}: ${what}`, `It was done at ${when}.`, ...advice].join('\n\n'), code: null }
}

const freezes = 'stops every change for 24 hours, ends all sessions and alerts the security team'

/** What the button of a link's page does. */
export const buttonTexts = {
  revert: { does: 'The button below brings back what was there before. What took its place is removed.', button: 'This was not me: undo it', done: 'What was there before is in force again.' },
  freeze: {
    does: 'The button below stops every change for 24 hours, ends all sessions and alerts the security team. After that you register your sign-in methods again.',
    button: 'This was not me: stop it', done: 'Changes are frozen for 24 hours, all sessions are ended and the security team is alerted. Ask your help desk how to go on.',
  },
} as const
