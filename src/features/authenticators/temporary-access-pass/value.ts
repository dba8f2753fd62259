/** Crockford's base32: no letter in it is taken for another one, or for a digit. */
export const passAlphabet = '0123456789ABCDEFGHJKMNPQRSTVWXYZ'

/** A pass as it is compared: without case, spaces and hyphens, and with what looks alike read as what was meant. */
export const readAs = (typed: string): string =>
  typed.replace(/[\s-]/g, '').toUpperCase().replace(/[IL]/g, '1').replaceAll('O', '0')

/** What the HMAC of a pass covers: it is good for its own user only. */
export const passParts = (userId: string, passId: string, value: string): string[] => ['pass', passId, userId, readAs(value)]
