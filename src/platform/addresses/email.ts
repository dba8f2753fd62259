import { domainToASCII, domainToUnicode } from 'node:url'

/**
 * Checks one plain address and keeps it as typed, with its `normal` form beside it (Contract, "Contact method"). Display
 * names, lists, comments, quoted names and address literals are refused: mail software reads some of them as a second
 * recipient or a header. Non-ASCII names are refused because many mail servers cannot take them.
 */
export function parseEmail (input: string): { email: { typed: string, normal: string } } | { fault: 'invalid_email', detail: string } {
  const { local, domain } = split(input)
  if (local === '' || domain === '') return invalid('An e-mail address has a name, an @ and a domain.')
  if (input.length > 254) return invalid('An e-mail address has at most 254 characters.')
  if (!DOT_ATOM.test(local)) return invalid('Only a plain address is accepted, without a display name, spaces, quotes or comments.')
  if (local.length > 64) return invalid('The part before the @ has at most 64 characters.')

  const ascii = asciiDomain(domain)
  if (ascii === null || !isHostname(ascii)) return invalid('The part after the @ is not the name of a domain.')
  if (local.length + 1 + ascii.length > 254) return invalid('An e-mail address has at most 254 characters.')
  return { email: { typed: input, normal: normalEmail(input) } }
}

/**
 * The form to compare in, never to send to: case, dots, plus tags and domain aliases folded (Contract, "Contact method").
 * Folded for every domain, though not every provider ignores dots: too strict only refuses an address that looks like
 * another. Takes any text, since sign-in addresses come from a directory that may be laxer.
 */
export function normalEmail (typed: string): string {
  const { local, domain } = split(fold(typed))
  const host = hostOf(domain)
  const mailbox = local.replace(/\+.*$/s, '').replaceAll('.', '')
  return `${mailbox === '' ? local : mailbox}@${sameMailboxes[host] ?? host}`
}

/** The form to look up by: as typed, but for case, and the domain in ASCII. */
export function lookupEmail (typed: string): string {
  const { local, domain } = split(fold(typed))
  return `${local}@${hostOf(domain)}`
}

/** What anyone but the owner sees: the first letter and the domain (Contract, "Conventions"). */
export function maskEmail (email: string): string {
  const { local, domain } = split(email.toLowerCase())
  return local === '' || domain === '' ? '•••' : `${[...local][0]}•••@${domain}`
}

// RFC 5322 dot-atom: no dot at either end and no two in a row.
const DOT_ATOM = /^[\w!#$%&'*+/=?^`{|}~-]+(?:\.[\w!#$%&'*+/=?^`{|}~-]+)*$/
const LABEL = /^[a-z\d](?:[a-z\d-]{0,61}[a-z\d])?$/

// Domains of one provider that lead to the same mailbox. Not outlook.com and hotmail.com, nor mail.ru and its sisters:
// there the same name under another domain is another person.
const sameMailboxes: Record<string, string> = Object.assign(Object.create(null), {
  'googlemail.com': 'gmail.com',
  'me.com': 'icloud.com', 'mac.com': 'icloud.com',
  'protonmail.com': 'proton.me', 'protonmail.ch': 'proton.me', 'pm.me': 'proton.me',
  'ya.ru': 'yandex.ru', 'yandex.com': 'yandex.ru', 'yandex.by': 'yandex.ru',
  'yandex.kz': 'yandex.ru', 'yandex.ua': 'yandex.ru', 'narod.ru': 'yandex.ru',
})

function split (address: string): { local: string, domain: string } {
  const at = address.lastIndexOf('@')
  return at < 0 ? { local: address, domain: '' } : { local: address.slice(0, at), domain: address.slice(at + 1) }
}

const fold = (address: string) => address.normalize('NFC').toLowerCase()

const hostOf = (domain: string) => asciiDomain(domain) ?? domain

/**
 * The ASCII form of a domain in lower case, or null where it has none. Letters that would be mapped to others (full-width,
 * ligatures, decomposed accents) are refused: a mail server may map them differently and deliver to someone else.
 */
function asciiDomain (domain: string): string | null {
  const lower = domain.toLowerCase()
  if (/^[a-z\d.-]+$/i.test(domain) && !/(?:^|\.)xn--/.test(lower)) return lower
  // Checked before it is converted, because the conversion decodes %41 and reads numbers as IP addresses.
  if (!/^[\p{L}\p{M}\p{N}.-]+$/u.test(domain) || domain !== domain.normalize('NFC')) return null
  const ascii = domainToASCII(lower)
  return ascii !== '' && (ascii === lower || domainToUnicode(ascii) === lower) ? ascii : null
}

/** At least two labels of letters, digits and inner hyphens (RFC 1123); the last one is never a number. */
function isHostname (ascii: string): boolean {
  const labels = ascii.split('.')
  return labels.length > 1 && ascii.length <= 253 && labels.every((label) => LABEL.test(label))
    && /^(?:[a-z]{2,}|xn--.+)$/.test(labels.at(-1) ?? '')
}

const invalid = (detail: string) => ({ fault: 'invalid_email' as const, detail })
