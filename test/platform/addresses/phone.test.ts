import * as fc from 'fast-check'
import { getCountries, getCountryCallingCode } from 'libphonenumber-js/max'
import t from 'tap'
import { maskPhone, parsePhone, prefixOf } from '../../../src/platform/addresses/phone.ts'
import { anyText } from '../../support/fuzz.ts'
import { extensions, noPersonsPhone, notNumbers, premium, sharedCost, spellings } from './phone-corpus.ts'

const nowhere = { defaultCountry: null }

/** The stored form, or the fault where there is none: one value to compare. */
function read (input: string, options: Parameters<typeof parsePhone>[1] = nowhere) {
  const result = parsePhone(input, options)
  return 'phone' in result ? result.phone : result.fault
}

function numberOf (input: string, options: Parameters<typeof parsePhone>[1] = nowhere) {
  const phone = read(input, options)
  return typeof phone === 'string' ? phone : phone.e164
}

/** A test's name in ASCII: a line separator in one ends the report early. */
const shown = (input: string) => JSON.stringify(input).replace(/[^ -~]/g, (one) => `\\u${one.charCodeAt(0).toString(16).padStart(4, '0')}`)

const cases = Object.entries(spellings).flatMap(([country, numbers]) =>
  numbers.flatMap((written) => written.map((input) => ({ country, e164: written[0], input }))))

t.test('reads every usual spelling of a number as one E.164 form', async (t) => {
  t.equal(new Set(cases.map(({ country, input }) => country + input)).size, cases.length, 'no case is there twice')
  t.ok(cases.length >= 200, `${cases.length} spellings`)
  t.ok(Object.keys(spellings).length >= 40, `${Object.keys(spellings).length} countries`)
  for (const { country, e164, input } of cases) {
    t.match(read(input, { defaultCountry: country }), { e164, country, extension: null, callingCode: getCountryCallingCode(country as 'US') }, input)
    t.equal(numberOf(input, { country, defaultCountry: 'TV' }), e164, `${input}, the country named`)
  }
})

t.test('reads a number with + alike whatever the default country is', async (t) => {
  for (const { e164, input } of cases.filter((one) => /^[\s(\u202A]*[+＋]/.test(one.input))) {
    for (const defaultCountry of [null, 'US', 'DE', 'XX']) t.equal(numberOf(input, { defaultCountry }), e164, `${input} from ${defaultCountry}`)
  }
})

t.test('refuses a national number that no country settles', async (t) => {
  for (const { input } of cases.filter((one) => !/[+＋]|%2B/.test(one.input))) {
    t.equal(numberOf(input), 'invalid_phone_number', input)
    t.equal(numberOf(input, { defaultCountry: 'XX' }), 'invalid_phone_number', `${input} from nowhere`)
  }
})

t.test('lets the country named for a number', async (t) => {
  t.test('go before the default country', async (t) => {
    t.equal(numberOf('030 123456', { country: 'DE', defaultCountry: 'US' }), '+4930123456')
  })
  t.test('share a calling code with the country found', async (t) => {
    t.match(read('+1 506 234 5678', { country: 'US', defaultCountry: null }), { e164: '+15062345678', country: 'CA' })
    t.match(read('506 234 5678', { country: 'US', defaultCountry: null }), { country: 'CA' })
  })
  t.test('not contradict the calling code written with +', async (t) => {
    t.equal(numberOf('+1 415 555 0199', { country: 'GB', defaultCountry: 'US' }), 'invalid_phone_number')
    t.equal(numberOf('tel:415-555-0199;phone-context=+1', { country: 'GB', defaultCountry: 'US' }), 'invalid_phone_number')
  })
  t.test('say only how a number abroad is dialled after 00 or 011', async (t) => {
    t.equal(numberOf('00 1 415 555 0199', { country: 'GB', defaultCountry: null }), '+14155550199')
    t.equal(numberOf('011 44 20 7946 0958', { country: 'US', defaultCountry: null }), '+442079460958')
    t.equal(numberOf('011 44 20 7946 0958', { country: 'GB', defaultCountry: null }), 'invalid_phone_number')
  })
  t.test('be none that has no numbers', async (t) => {
    for (const country of ['XX', 'us', '', 'USA', '__proto__', 'constructor']) {
      t.equal(numberOf('+14155550199', { country, defaultCountry: 'US' }), 'invalid_phone_number', country)
    }
  })
})

t.test('takes the fictional numbers of every North American area', async (t) => {
  for (const [number, country] of [
    ['+14155550100', 'US'], ['+14155550132', 'US'], ['+12025550143', 'US'], ['+12125550100', 'US'], ['+14155550199', 'US'],
    ['+16135550100', 'CA'], ['+18765550100', 'JM'], ['+12465550150', 'BB'], ['+12425550100', 'BS'], ['+18685550199', 'TT'],
  ] as const) t.match(read(number), { e164: number, country, callingCode: '1' }, number)
  for (const number of ['+12425550200', '+12425550099', '+19995550100', '+11115550100', '+1242555010']) {
    t.equal(numberOf(number), 'invalid_phone_number', `${number} is none`)
  }
})

t.test('takes the extension apart', async (t) => {
  for (const [written, extension] of extensions) {
    t.match(read(written), { e164: '+14155550199', extension }, written)
    t.match(read(written.replace(/^(tel:)?\+1-?/, '$1'), { defaultCountry: 'US' }), { e164: '+14155550199', extension }, `${written}, national`)
  }
  t.test('from one given beside the number', async (t) => {
    t.match(read('+14155550199', { ...nowhere, extension: '123' }), { extension: '123' })
    t.match(read('+14155550199 x123', { ...nowhere, extension: '123' }), { extension: '123' }, 'the same twice')
    t.match(read('+14155550199 x123', { ...nowhere, extension: null }), { extension: '123' }, 'null says nothing')
    t.match(read('+14155550199', { ...nowhere, extension: '１２３' }), { extension: '123' }, 'full-width')
    t.equal(read('+14155550199 x123', { ...nowhere, extension: '124' }), 'invalid_phone_number', 'two that differ')
    t.equal(read('+14155550199 x123', { ...nowhere, extension: '0123' }), 'invalid_phone_number', 'a zero counts')
    for (const extension of ['', ' ', 'x1', '1234567890123456', '-1', '1.5', '1\n2', '12\n', '+1']) {
      t.equal(read('+14155550199', { ...nowhere, extension }), 'invalid_phone_number', shown(extension))
    }
  })
})

t.test('refuses premium and shared-cost numbers', async (t) => {
  for (const [what, numbers] of [['premium', premium], ['shared-cost', sharedCost]] as const) {
    const countries = new Set(numbers.map(([country]) => country)).size
    t.ok(countries >= 30, `${what}: ${countries} countries`)
    for (const [country, number] of numbers) {
      t.equal(numberOf(number), 'phone_number_not_allowed', `${country} ${number}`)
      t.equal(numberOf(`${number} x12`, { country, defaultCountry: null }), 'phone_number_not_allowed', `${country} ${number} with an extension`)
    }
  }
  t.equal(numberOf('0900 1 234567', { defaultCountry: 'DE' }), 'phone_number_not_allowed', 'in national format')
  t.equal(numberOf('(900) 555-0123', { defaultCountry: 'US' }), 'phone_number_not_allowed', 'in national format')
})

t.test('refuses what is no person’s own phone', async (t) => {
  for (const [type, number] of noPersonsPhone) t.equal(numberOf(number), 'phone_number_not_allowed', `${type} ${number}`)
})

t.test('refuses what is no phone number', async (t) => {
  for (const [why, input] of notNumbers) {
    t.equal(numberOf(input), 'invalid_phone_number', `${why}: ${shown(input)}`)
    t.equal(numberOf(input, { defaultCountry: 'US' }), 'invalid_phone_number', `${why} in the US: ${shown(input)}`)
  }
})

t.test('tells the line type', async (t) => {
  for (const [number, lineType, country] of [
    ['+447400123456', 'mobile', 'GB'], ['+442079460958', 'landline', 'GB'], ['+14155550199', 'mobileOrLandline', 'US'],
    ['+445612345678', 'voip', 'GB'], ['+881612345678', 'mobile', null], ['+12425550100', 'mobileOrLandline', 'BS'],
  ] as const) t.match(read(number), { lineType, country }, number)
})

t.test('never repeats the number in the detail of a refusal', async (t) => {
  for (const [, input] of [...notNumbers, ...premium]) {
    const result = parsePhone(input, { defaultCountry: null, extension: '987654' })
    t.notMatch('detail' in result ? result.detail : '', /\d{4}/, shown(input))
  }
})

t.test('masks all but the calling code and the last two digits', async (t) => {
  t.equal(maskPhone('+14155550199'), '+1 ••• ••• ••99')
  t.equal(maskPhone('+442079460958'), '+44 ••• ••• ••58')
  t.equal(maskPhone('+353850123456'), '+353 ••• ••• ••56')
  t.equal(maskPhone('+6834002'), '+683 ••• ••• ••02', 'the shortest')
  for (const country of getCountries()) {
    const callingCode = getCountryCallingCode(country)
    t.equal(maskPhone(`+${callingCode}2345678`), `+${callingCode} ••• ••• ••78`, country)
  }
  for (const nonsense of ['', '+', '4155550199', '+0123456789', '+1 415 555 0199', 'a@example.com']) {
    t.equal(maskPhone(nonsense), '••• ••• ••••', `shows nothing of ${shown(nonsense)}`)
  }
})

t.test('groups numbers by their first seven digits', async (t) => {
  t.equal(prefixOf('+14155550199'), '1415555')
  t.equal(prefixOf('+442079460958'), '4420794')
  t.equal(prefixOf('+6834002'), '6834002')
})

t.test('holds for any input', async (t) => {
  const country = fc.constantFrom(...getCountries(), 'XX', '', 'toString')
  const numberLike = fc.string({ unit: fc.constantFrom(...'0123456789+ ()-./x#;=,tel:ext＋０٣\u00A0\u202A\u0000%'), maxLength: 40 })
  const national = fc.string({ unit: fc.constantFrom(...'0123456789'), minLength: 4, maxLength: 15 })
  const anything = fc.oneof(anyText(120), numberLike, national, national.map((digits) => `+${digits}`),
    fc.constantFrom(...cases.map((one) => one.input)))
  const anyOptions = fc.record({
    country, defaultCountry: fc.option(country), extension: fc.option(fc.oneof(national, fc.string())),
  }, { requiredKeys: ['defaultCountry'] })

  t.test('never throws, and gives a form that reads back as itself', async () => {
    fc.assert(fc.property(anything, anyOptions, (input, options) => {
      const result = parsePhone(input, options)
      if ('fault' in result) return ['invalid_phone_number', 'phone_number_not_allowed'].includes(result.fault) && result.detail !== ''
      const { e164, callingCode, extension } = result.phone
      const again = parsePhone(e164, { defaultCountry: null, extension })
      return /^\+[1-9]\d{6,14}$/.test(e164) && e164.startsWith(`+${callingCode}`) && (extension === null || /^\d{1,15}$/.test(extension))
        && 'phone' in again && JSON.stringify(again.phone) === JSON.stringify(result.phone)
    }), { numRuns: 20_000 })
  })

  t.test('never shows more in a mask than the calling code and two digits', async () => {
    fc.assert(fc.property(fc.oneof(anything, national.map((digits) => `+1${digits}`)), anyOptions, (input, options) => {
      const result = parsePhone(input, options)
      const masked = maskPhone('phone' in result ? result.phone.e164 : input)
      const digits = masked.replace(/\D/g, '')
      return 'phone' in result
        ? masked === `+${result.phone.callingCode} ••• ••• ••${result.phone.e164.slice(-2)}`
        : digits.length <= 5 && masked.length <= 17
    }), { numRuns: 20_000 })
  })
})
