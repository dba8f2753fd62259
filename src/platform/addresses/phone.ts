import parseE164, { getCountryCallingCode, isSupportedCountry, type CountryCode, type NumberType } from 'libphonenumber-js/max'

// The `max` metadata, because the smaller sets know no line type for many countries and would let premium numbers in.

export type LineType = 'mobile' | 'landline' | 'mobileOrLandline' | 'voip' | 'other' | 'unknown'

export interface Phone {
  e164: string
  extension: string | null
  /** ISO 3166-1 alpha-2, also AC, TA and XK, which have numbering plans. Null for a number of no country: a satellite phone. */
  country: string | null
  /** Digits only: `44`. */
  callingCode: string
  lineType: LineType
}

export type PhoneFault = 'invalid_phone_number' | 'phone_number_not_allowed'

type Refused = { fault: PhoneFault, detail: string }

/**
 * Reads a number in any usual spelling and gives its one stored form, or the fault to refuse it with (Contract, "Contact
 * method": any usual spelling; national format only where a country settles it; no premium or shared-cost numbers).
 *
 * `country` is what the caller says about this number, `defaultCountry` what holds for the tenant. `extension` is one
 * given apart; one inside the number and one apart that differ are a fault. Which countries are allowed is the policy's.
 */
export function parsePhone (
  input: string,
  { country, defaultCountry, extension = null }: { country?: string, defaultCountry: string | null, extension?: string | null },
): { phone: Phone } | Refused {
  if (input.length > 100) return invalid('The number is longer than 100 characters.')
  if (country !== undefined && !isSupportedCountry(country)) return invalid('No phone numbers are known for the country given.')

  const text = plain(input)
  if (text === null) return invalid('The number has characters that have no place in a phone number.')
  const parts = takeApart(text)
  if (parts === null) return invalid('Not a phone number.')

  const extensions = [...parts.extensions, ...extension === null ? [] : [toAsciiDigits(extension)]]
  if (!extensions.every((one) => /^\d{1,15}$/.test(one))) return invalid('An extension has 1 to 15 digits.')
  if (new Set(extensions).size > 1) return invalid('The number comes with two different extensions.')

  const settled = country ?? (defaultCountry !== null && isSupportedCountry(defaultCountry) ? defaultCountry : undefined)
  const international = parts.spellings[0].startsWith('+')
  if (settled === undefined && !international) return invalid('A number that does not start with + needs its country.')

  const found = parts.spellings.map((spelling) => recognise(spelling, settled)).find((one) => one !== null)
  if (!found) return invalid('Not a valid phone number.')
  // Only a + claims a calling code of its own: after 00 or 011 the country has said how the number is dialled.
  if (international && country !== undefined && getCountryCallingCode(country) !== found.callingCode) {
    return invalid('The number does not belong to the country given.')
  }
  if (parts.context !== null && !found.e164.startsWith(parts.context)) return invalid('The number and its phone-context differ.')
  if (found.type && notAllowed.has(found.type) || payPerCall.test(found.e164)) {
    return { fault: 'phone_number_not_allowed', detail: 'Premium, shared-cost, toll-free, company and follow-me numbers are not accepted.' }
  }
  // The library knows numbers up to 17 digits long; E.164 ends at 15, and what has under 7 is a service.
  if (!/^\+[1-9]\d{6,14}$/.test(found.e164)) return invalid('Not a valid phone number.')

  const { type, ...number } = found
  return { phone: { ...number, extension: extensions[0] ?? null, lineType: type ? lineTypes[type] ?? 'other' : 'unknown' } }
}

/**
 * What anyone but the owner sees (Contract, "Conventions": calling code and last two digits). The pattern is the same for
 * every country, so that it does not tell the length.
 */
export function maskPhone (e164: string): string {
  const [, callingCode, lastTwo] = MASKABLE.exec(e164) ?? []
  return callingCode ? `+${callingCode} ••• ••• ••${lastTwo}` : '••• ••• ••••'
}

/** A mask like `maskPhone`'s, of a number that nobody has; of `US` where the country has no numbers. */
export const maskOfNobody = (country: string, lastTwo: string): string =>
  `+${getCountryCallingCode(isSupportedCountry(country) ? country : 'US')} ••• ••• ••${lastTwo}`

/** The first seven digits: the block of numbers that traffic pumping shows up in. */
export function prefixOf (e164: string): string {
  return e164.replace(/^\+/, '').slice(0, 7)
}

/** Whether this is a country with phone numbers: `UK` is not, `GB` is. */
export const isPhoneCountry = (code: string): boolean => isSupportedCountry(code)

// Calling codes are a prefix code (ITU-T E.164): 1 and 7, these two-digit ones, and three digits for all others.
const MASKABLE = /^\+(1|7|2[07]|3[0-469]|4[013-9]|5[1-8]|6[0-6]|8[1246]|9[0-58]|[2-9]\d\d)\d{2,}(\d\d)$/

const lineTypes: Partial<Record<NonNullable<NumberType>, LineType>> = {
  MOBILE: 'mobile', FIXED_LINE: 'landline', FIXED_LINE_OR_MOBILE: 'mobileOrLandline', VOIP: 'voip',
}

const notAllowed = new Set<NumberType>([
  // Whoever is called earns from the call: the aim of pumped traffic.
  'PREMIUM_RATE', 'SHARED_COST',
  // Whoever is called pays, and a switchboard answers: no person's own phone. UAN are company numbers such as +44 300.
  'TOLL_FREE', 'UAN',
  // Follow-me numbers (+44 70, +1 500) hide where they end and are dearer than they look: a known range for fraud.
  'PERSONAL_NUMBER',
  // A code left with a machine proves nothing about who hears it.
  'PAGER', 'VOICEMAIL',
])

// In every area of North America, exchange 976 bills the caller and 555-1212 is directory assistance; the library lists neither.
const payPerCall = /^\+1\d{3}(976\d{4}|5551212)$/

/** The number in ASCII, out of its `tel:` address if it has one, or null where a character has no place in a number. */
function plain (input: string): string | null {
  const text = toAscii(input)
  try {
    return /^tel:/i.test(text ?? '') ? toAscii(decodeURIComponent((text ?? '').slice(4))) : text
  } catch {
    return null
  }
}

/** Every script's digits, dashes, spaces, dots and slashes as ASCII, or null where control characters are left. */
function toAscii (input: string): string | null {
  const text = toAsciiDigits(input)
    .normalize('NFC')
    // Invisible marks of direction and width come along when a number is copied out of an address book.
    .replace(/\p{Cf}/gu, '')
    .replace(/[\uFF01-\uFF5E]/g, (wide) => String.fromCharCode(wide.charCodeAt(0) - 0xFEE0))
    .replace(/\p{Zs}/gu, ' ')
    .replace(/[\p{Pd}\u2212\u2043\u30FC]/gu, '-')
    .replace(/[\u00B7\u2024\u2027]/g, '.')
    .replace(/[\u2044\u2215]/g, '/')
  return /[\p{C}\p{Zl}\p{Zp}]/u.test(text) ? null : text.trim()
}

// Full-width, Arabic-Indic, Persian, Devanagari, Bengali, Thai: each a run of ten from its zero.
const zeros = [0xFF10, 0x0660, 0x06F0, 0x0966, 0x09E6, 0x0E50]

function toAsciiDigits (text: string): string {
  return text.replace(/\p{Nd}/gu, (digit) => {
    const zero = zeros.find((first) => digit.charCodeAt(0) >= first && digit.charCodeAt(0) < first + 10)
    return zero === undefined ? digit : String(digit.charCodeAt(0) - zero)
  })
}

const extensionWords = [
  'extension', 'extensión', 'extensão', 'extensao', 'extn', 'ext', 'xtn', 'x', '×', 'poste', 'durchwahl', 'dw', 'nebenstelle', 'nst',
  'interno', 'int', 'anexo', 'ramal', 'toestel', 'tst', 'anknytning', 'ankn', 'wewnętrzny', 'wewn', 'wew', 'klapka', 'linka',
  'dahili', 'добавочный', 'доб', '内線', '分机', '分機', '내선',
]
const tail = `(?:#|(?<!\\p{L})(?:${extensionWords.join('|')})[.]?) ?[:=#]? ?(\\d+)`
const EXTENSION = new RegExp(`[ ,;-]*(?:\\( ?${tail} ?\\)|\\[ ?${tail} ?\\]|${tail})$`, 'iu')

/**
 * The digits to recognise (in the order to try), the extensions named, and the RFC 3966 context. Extensions are taken off
 * here, because the library knows few of their spellings and cuts them at other lengths.
 */
function takeApart (text: string): { spellings: [string, ...string[]], extensions: string[], context: string | null } | null {
  const [head = '', ...parameters] = text.split(/;(?=[^;]*=)/)
  const extensions: string[] = []
  let context: string | null = null
  for (const parameter of parameters) {
    const [, name = '', value = ''] = /^ ?([a-z-]+) ?= ?(\+?[\d .()-]*\d[.)]?) ?$/i.exec(parameter) ?? []
    const bare = value.replace(/[^+\d]/g, '')
    if (name.toLowerCase() === 'ext' && !bare.startsWith('+')) extensions.push(bare)
    // A domain as context leaves the number in a private plan, so that is no number to us.
    else if (name.toLowerCase() === 'phone-context' && bare.startsWith('+') && context === null) context = bare
    else return null
  }

  const named = EXTENSION.exec(head)
  const number = named ? head.slice(0, named.index) : head
  const within = named?.slice(1).find((digits) => digits !== undefined)
  if (within !== undefined) extensions.push(within)

  const digits = digitsOf(number)
  if (digits === null) return null
  const full = context !== null && !digits.startsWith('+') ? context + digits : digits
  // `+52 1` went with the old Mexican mobile prefix in 2019 and is still on many business cards.
  const spellings: [string, ...string[]] = [full.replace(/^\+521(?=\d{10}$)/, '+52')]
  // The zero of `+44 (0)20` is not dialled from abroad. Italy keeps its zero, so dropping it comes second.
  const withoutTrunk = digitsOf(number.replace(/[([] ?0 ?[)\]]/, ' '))
  if (withoutTrunk !== null && withoutTrunk !== digits && /^(?:\+|00|011)/.test(withoutTrunk)) spellings.push(withoutTrunk)
  return { spellings, extensions, context }
}

/** Digits with or without a leading +, or null if anything but balanced brackets and separators stands between them. */
function digitsOf (number: string): string | null {
  const flat = number.replace(/\(([^()]*)\)|\[([^[\]]*)\]/g, ' $1$2 ').trim()
  return /^\+? *\d(?:[\d ./-]*\d)?$/.test(flat) ? flat.replace(/[^+\d]/g, '') : null
}

// Set aside for fiction in every area of North America. Nobody's phone, hence safe in examples, the sandbox and tests.
const fictional = /^\+1[2-9]\d\d55501\d\d$/

interface Recognised { e164: string, country: string | null, callingCode: string, type: NumberType }

/** The number behind digits with or without a leading +, or null. */
function recognise (spelling: string, settled: CountryCode | undefined): Recognised | null {
  const first = parseE164(spelling, { extract: false, ...settled && { defaultCountry: settled } })
  // A few national spellings lead to a number that reads differently in full: only what reads back as itself has one form.
  const found = first && parseE164(first.number, { extract: false })
  if (!found || found.number !== first.number) return null

  const { number: e164, country = null, countryCallingCode: callingCode } = found
  if (found.isValid()) return { e164, country, callingCode, type: found.getType() }
  // The islands' metadata leaves the fictional block out; their country still follows from the area code.
  if (fictional.test(e164) && country !== null) return { e164, country, callingCode, type: 'FIXED_LINE_OR_MOBILE' }
  return null
}

const invalid = (detail: string): Refused => ({ fault: 'invalid_phone_number', detail })
