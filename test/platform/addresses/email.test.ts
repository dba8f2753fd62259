import * as fc from 'fast-check'
import t from 'tap'
import { lookupEmail, maskEmail, normalEmail, parseEmail } from '../../../src/platform/addresses/email.ts'
import { anyText } from '../../support/fuzz.ts'

const typedOf = (input: string) => {
  const result = parseEmail(input)
  return 'email' in result ? result.email.typed : result.fault
}

const label63 = 'a'.repeat(63)
const local64 = 'a'.repeat(64)

t.test('keeps a plain address exactly as typed', async (t) => {
  for (const address of [
    'alice@example.com', 'Alice.Smith+tag@Example.COM', 'a@b.co', "o'brien@example.ie", 'x_y-z@sub.sub.example.org', '!#$%&*/=?^`{|}~@example.com',
    '1@2.example', 'a@3com.com', 'a@a-b--c.com', 'a@xn--bcher-kva.de', 'a@bücher.de', 'a@BÜCHER.de', 'a@пример.рф', 'a@例え.jp', 'a@straße.de',
    `${local64}@example.com`, `a@${label63}.com`, `${local64}@${label63}.${label63}.${'a'.repeat(57)}.com`,
  ]) t.equal(typedOf(address), address)
})

t.test('refuses what is not exactly one plain address', async (t) => {
  for (const [why, input] of [
    ['nothing', ''], ['no @', 'alice'], ['no name', '@example.com'], ['no domain', 'alice@'], ['an @ alone', '@'], ['two @', 'a@b@example.com'],
    ['a display name', 'Alice <alice@example.com>'], ['angle brackets', '<alice@example.com>'], ['a list', 'a@example.com, b@example.com'],
    ['a list without blanks', 'a@example.com,b@example.com'], ['a list with a semicolon', 'a@example.com;b@example.com'], ['a group', 'us:a@example.com;'],
    ['a header behind it', 'a@example.com\r\nBcc: b@example.com'], ['a line break behind it', 'a@example.com\n'], ['a line break in it', 'a\n@example.com'],
    ['a NUL', 'a\u0000@example.com'], ['a NUL in the domain', 'a@exa\u0000mple.com'], ['a tab', 'a\t@example.com'], ['a blank before', ' a@example.com'],
    ['a blank behind', 'a@example.com '], ['a blank inside', 'a b@example.com'], ['an invisible blank', 'a\u200B@example.com'],
    ['an invisible blank in the domain', 'a@exam\u200Bple.com'], ['a quoted name', '"a b"@example.com'], ['a comment', 'a(b)@example.com'],
    ['a comment in the domain', 'a@(b)example.com'], ['a backslash', 'a\\b@example.com'], ['mailto', 'mailto:a@example.com'], ['a query', 'a@example.com?bcc=b'],
    ['a dot first', '.a@example.com'], ['a dot last', 'a.@example.com'], ['two dots', 'a..b@example.com'], ['a long name', `a${local64}@example.com`],
    ['a name not in ASCII', 'é@example.com'], ['a name with a look-alike', 'аlice@example.com'], ['a half character', '\uD83D@example.com'],
    ['one label', 'a@localhost'], ['an empty label', 'a@example..com'], ['a dot before the domain', 'a@.example.com'], ['a dot behind the domain', 'a@example.com.'],
    ['a hyphen first', 'a@-example.com'], ['a hyphen last', 'a@example-.com'], ['an underscore', 'a@exa_mple.com'], ['a long label', `a@a${label63}.com`],
    ['an IP address', 'a@127.0.0.1'], ['a short IP address', 'a@127.1'], ['an address literal', 'a@[127.0.0.1]'], ['an IPv6 literal', 'a@[IPv6:::1]'],
    ['a numeric top domain', 'a@example.123'], ['a hexadecimal top domain', 'a@example.0x7f'], ['a port', 'a@example.com:25'], ['a path', 'a@example.com/b'],
    ['an escape', 'a@%65xample.com'], ['a top domain of one letter', 'a@example.c'],
    ['an international name that is none', 'a@xn--iñvalid.com'], ['full-width letters', 'a@ｅｘａｍｐｌｅ.com'], ['a full-width dot', 'a@example．com'],
    ['an ideographic dot', 'a@例え。jp'], ['a ligature', 'a@oﬃce.com'], ['the Kelvin sign', 'a@\u212Aexample.com'], ['a decomposed accent', 'a@bu\u0308cher.de'],
    ['an emoji domain', 'a@💌.com'], ['full-width IP digits', 'a@１２７.０.０.１'],
    ['more than 254', `${local64}@${label63}.${label63}.${'a'.repeat(58)}.com`], ['more than 254 in ASCII', `${local64}@${'日月火水木金土春夏秋冬東西南北.'.repeat(4)}jp`],
    ['a label too long in ASCII', 'a@日月火水木金土春夏秋冬東西南北山川海空雨雪風.jp'],
    ['much more', `a@${'a.'.repeat(100_000)}com`],
  ] as const) t.equal(typedOf(input), 'invalid_email', why)
})

t.test('never repeats the address in the detail of a refusal', async (t) => {
  for (const input of ['Secret <secret@example.com>', 'secret@localhost', 'sécret@example.com', `secret${local64}@example.com`]) {
    const result = parseEmail(input)
    t.notMatch('detail' in result ? result.detail : 'secret', /s[eé]cret|localhost/i)
  }
})

t.test('compares alike what reaches one mailbox', async (t) => {
  for (const [one, other] of [
    ['Alice@Example.com', 'alice@example.com'], ['a.l.i.c.e@gmail.com', 'alice@gmail.com'], ['alice+mfa@example.com', 'alice@example.com'],
    ['alice+a+b@example.com', 'alice@example.com'], ['A.lice+x@GoogleMail.com', 'alice@gmail.com'], ['alice@me.com', 'alice@icloud.com'],
    ['alice@mac.com', 'alice@me.com'], ['alice@pm.me', 'alice@protonmail.com'], ['alice@ya.ru', 'alice@yandex.com'],
    ['alice@bücher.de', 'alice@xn--bcher-kva.de'], ['alice@BÜCHER.DE', 'alice@bücher.de'], ['alice.smith@example.com', 'alicesmith@example.com'],
  ] as const) {
    t.equal(normalEmail(one), normalEmail(other), `${one} and ${other}`)
    t.match(parseEmail(one), { email: { typed: one, normal: normalEmail(other) } })
  }
  for (const [one, other] of [
    ['alice@example.com', 'bob@example.com'], ['alice@example.com', 'alice@example.org'], ['alice@hotmail.com', 'alice@outlook.com'],
    ['alice-x@example.com', 'alice@example.com'], ['+a@example.com', '+b@example.com'], ['alice@constructor', 'alice@__proto__'],
  ] as const) t.not(normalEmail(one), normalEmail(other), `but not ${one} and ${other}`)
})

t.test('finds an address as typed but for case', async (t) => {
  t.equal(lookupEmail('A.lice+Tag@GoogleMail.com'), 'a.lice+tag@googlemail.com')
  t.equal(lookupEmail('alice@BÜCHER.de'), lookupEmail('Alice@xn--bcher-kva.DE'))
  t.not(lookupEmail('a.lice@gmail.com'), lookupEmail('alice@gmail.com'))
})

t.test('masks all but the first letter and the domain', async (t) => {
  t.equal(maskEmail('a@example.com'), 'a•••@example.com')
  t.equal(maskEmail('Alice.Smith@Example.com'), 'a•••@example.com')
  t.equal(maskEmail('bob@bücher.de'), 'b•••@bücher.de')
  for (const nonsense of ['', 'alice', '@example.com', 'alice@', '+14155550199']) t.equal(maskEmail(nonsense), '•••', `shows nothing of "${nonsense}"`)
})

t.test('holds for any input', async (t) => {
  const addressLike = fc.string({ unit: fc.constantFrom(...'aB9.@+-_"<> ,;:()[]\\%é\u0000\r\n\u212A。xn--'), maxLength: 30 })
  const anything = fc.oneof(anyText(300), addressLike, fc.emailAddress(), addressLike.map((text) => `${text}@example.com`))

  t.test('never throws, and takes only one address in ASCII before the @', async () => {
    fc.assert(fc.property(anything, (input) => {
      const result = parseEmail(input)
      if ('fault' in result) return result.fault === 'invalid_email' && result.detail !== ''
      return result.email.typed === input && /^[!-~]{1,64}@[^\s@<>,;:"()[\]\\]+\.[^\s@.]+$/.test(input) && input.length <= 254
    }), { numRuns: 20_000 })
  })

  t.test('gives comparing and finding forms that stay as they are', async () => {
    fc.assert(fc.property(anything, (input) => {
      const [normal, lookup] = [normalEmail(input), lookupEmail(input)]
      const valid = 'email' in parseEmail(input)
      return maskEmail(input) !== '' && (!valid || (normalEmail(normal) === normal && lookupEmail(lookup) === lookup && normalEmail(lookup) === normal))
    }), { numRuns: 20_000 })
  })

  t.test('never shows more of a name than its first letter', async () => {
    fc.assert(fc.property(fc.emailAddress(), (address) => {
      const [local = '', domain = ''] = address.toLowerCase().split('@')
      return maskEmail(address) === `${local[0]}•••@${domain}`
    }), { numRuns: 5_000 })
  })
})
