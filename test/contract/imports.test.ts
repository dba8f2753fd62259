import { readdirSync, readFileSync } from 'node:fs'
import { dirname, join, relative, resolve } from 'node:path'
import t from 'tap'

/** The import table: what a file of each kind may import. `docs/decisions/0001-imports.md` says why it is as it is. */
const source = join(import.meta.dirname, '../../src')

interface Import { from: string, to: string, typesOnly: boolean }

const everyFeature = ['users', 'policy', 'authority', 'approvals', 'audit', 'events', 'notices']

/** Which features a feature may import. One that is not named here: those that every feature may. */
const arrows: Record<string, readonly string[]> = {
  audit: [],
  events: [],
  delivery: [],
  proofs: [],
  notices: ['delivery'],
  approvals: ['audit', 'events'],
  users: ['audit', 'events', 'approvals'],
  policy: ['audit', 'events', 'approvals'],
  authority: ['users', 'policy', 'proofs', 'audit'],
  limits: ['policy', 'audit', 'events'],
  authenticators: [...everyFeature, 'contact-methods', 'limits'],
  'contact-methods': [...everyFeature, 'organization', 'limits'],
  challenges: [...everyFeature, 'organization', 'contact-methods', 'authenticators', 'delivery', 'limits', 'proofs'],
  'mfa-resets': [...everyFeature, 'contact-methods', 'authenticators', 'challenges', 'limits'],
  'sign-in': [...everyFeature, 'contact-methods', 'authenticators', 'mfa-resets'],
  offboarding: [...everyFeature, 'contact-methods', 'authenticators', 'challenges', 'limits', 'proofs'],
  'user-data': [...everyFeature, 'contact-methods', 'limits', 'mfa-resets'],
  reports: [...everyFeature, 'contact-methods'],
  imports: [...everyFeature, 'contact-methods'],
  sandbox: [...everyFeature, 'delivery'],
}

/** Single imports that the table forbids, allowed on purpose. */
const exceptions = new Map([
  ['features/policy/policy.ts → features/policy/schema.ts', 'the default document stands beside the bounds that it must fit'],
])
/** Of what speaks HTTP, a domain file may import this: only who sorts a list knows what a cursor is bound to. */
const pagingFile = 'platform/http/paging.ts'

type Kind = 'schema' | 'routes' | 'domain' | 'queries' | 'platform' | 'vocabulary' | 'outside'

const featureOf = (file: string) => /^features\/([^/]+)\//.exec(file)?.[1]

function kindOf (file: string): Kind {
  if (file.startsWith('platform/')) return 'platform'
  if (file === 'vocabulary.ts') return 'vocabulary'
  if (featureOf(file) === undefined) return 'outside'
  const name = file.split('/').at(-1)!.replace(/\.ts$/, '')
  return name === 'schema' || name === 'routes' || name === 'queries' ? name : 'domain'
}

/** Why the table forbids this import, or undefined if it does not. */
function faultOf ({ from, to, typesOnly }: Import): string | undefined {
  if (exceptions.has(`${from} → ${to}`)) return undefined
  const [kind, target] = [kindOf(from), kindOf(to)]
  if (kind === 'vocabulary') return 'the vocabulary imports nothing'
  if (target === 'vocabulary') return undefined
  if (kind === 'outside') return faultOfOutside(from, target)
  if (target === 'outside') return 'only what puts the parts together knows what is outside features and platform'
  if (kind === 'platform') return target === 'platform' ? undefined : 'platform knows no feature'
  if (target === 'platform') return faultOfPlatformUse(kind, to)

  const [own, other] = [featureOf(from)!, featureOf(to)!]
  if (kind === 'schema') return 'a schema imports http/schemas and the vocabulary only'
  if (own === other) return faultOfOwn(kind, target, typesOnly)
  if (kind !== 'domain') return `${kind} imports no other feature`
  if (target !== 'domain' && !(target === 'schema' && typesOnly)) return 'of another feature: its domain files, and types of its schema'
  return (arrows[own] ?? everyFeature).includes(other) ? undefined : `there is no arrow from ${own} to ${other}`
}

function faultOfOwn (kind: Kind, target: Kind, typesOnly: boolean): string | undefined {
  if (kind === 'routes') return target === 'queries' ? 'routes leave queries to the domain' : undefined
  if (kind === 'queries') return target === 'schema' && typesOnly ? undefined : 'queries import types of the schema only'
  if (target === 'routes') return 'the domain knows no routes'
  return target === 'schema' && !typesOnly ? 'the domain imports types of the schema only' : undefined
}

function faultOfPlatformUse (kind: Kind, to: string): string | undefined {
  if (kind === 'routes') return undefined
  if (kind === 'schema') return to === 'platform/http/schemas.ts' ? undefined : 'a schema imports http/schemas and the vocabulary only'
  if (kind === 'queries') return to.startsWith('platform/db/') ? undefined : 'queries import platform/db only'
  return to.startsWith('platform/http/') && to !== pagingFile ? 'the domain does not speak HTTP' : undefined
}

/** What starts, runs and seeds the service puts features together through their domain; `app.ts` also through their routes. */
const faultOfOutside = (from: string, target: Kind) =>
  target === 'queries' || target === 'schema' || (target === 'routes' && from !== 'app.ts') ? `${target} of a feature are its own` : undefined

const files = readdirSync(source, { recursive: true, encoding: 'utf8' }).filter((file) => file.endsWith('.ts')).toSorted()
const textOf = (file: string) => readFileSync(join(source, file), 'utf8')

function importsOf (file: string): { names: string, specifier: string, typesOnly: boolean }[] {
  const pattern = /^(?:import|export)\s+(type\s+)?([^'"]*?)\s*from\s*'([^']+)'|^import\s*'([^']+)'|\bimport\(\s*'([^']+)'/gm
  return [...textOf(file).matchAll(pattern)].map(([, typeWord, names = '', named, bare, dynamic]) => ({
    names, specifier: (named ?? bare ?? dynamic)!,
    typesOnly: typeWord !== undefined || (/^\{.*\}$/s.test(names) && names.slice(1, -1).split(',').every((name) => /^\s*(type\s|$)/.test(name))),
  }))
}

const imports: Import[] = files.flatMap((from) => importsOf(from).filter(({ specifier }) => specifier.startsWith('.'))
  .map(({ specifier, typesOnly }) => ({ from, to: relative(source, resolve(source, dirname(from), specifier)), typesOnly })))

t.test('every import follows the table', async (t) => {
  t.ok(imports.length > 300, 'the imports were found')
  for (const one of imports) {
    const fault = faultOf(one)
    if (fault !== undefined) t.fail(`${one.from} imports ${one.to}: ${fault}`)
  }
})

t.test('the table would notice', async (t) => {
  const forbidden: Import[] = [
    { from: 'features/users/schema.ts', to: 'features/users/users.ts', typesOnly: true },
    { from: 'features/users/schema.ts', to: 'platform/refusal.ts', typesOnly: true },
    { from: 'features/users/routes.ts', to: 'features/users/queries.ts', typesOnly: true },
    { from: 'features/users/routes.ts', to: 'features/audit/audit.ts', typesOnly: true },
    { from: 'features/users/read.ts', to: 'features/users/schema.ts', typesOnly: false },
    { from: 'features/users/read.ts', to: 'platform/http/auth.ts', typesOnly: true },
    { from: 'features/users/read.ts', to: 'features/audit/queries.ts', typesOnly: true },
    { from: 'features/users/read.ts', to: 'features/authority/may.ts', typesOnly: true },
    { from: 'features/contact-methods/add.ts', to: 'features/challenges/challenges.ts', typesOnly: true },
    { from: 'features/audit/audit.ts', to: 'features/users/users.ts', typesOnly: true },
    { from: 'features/users/queries.ts', to: 'features/users/users.ts', typesOnly: true },
    { from: 'features/users/queries.ts', to: 'platform/keys.ts', typesOnly: true },
    { from: 'features/users/read.ts', to: 'config.ts', typesOnly: true },
    { from: 'platform/keys.ts', to: 'features/users/users.ts', typesOnly: true },
    { from: 'platform/keys.ts', to: 'config.ts', typesOnly: true },
    { from: 'dev/demo.ts', to: 'features/users/queries.ts', typesOnly: true },
    { from: 'vocabulary.ts', to: 'platform/keys.ts', typesOnly: true },
  ]
  for (const one of forbidden) t.type(faultOf(one), 'string', `${one.from} → ${one.to}`)
})

t.test('every exception is still needed', async (t) => {
  for (const pair of exceptions.keys()) t.ok(imports.some(({ from, to }) => `${from} → ${to}` === pair), pair)
  t.ok(imports.some(({ from, to }) => kindOf(from) === 'domain' && to === pagingFile), pagingFile)
})

t.test('only routes and platform know Fastify', async (t) => {
  for (const file of files.filter((one) => ['schema', 'domain', 'queries', 'vocabulary'].includes(kindOf(one)))) {
    t.notOk(importsOf(file).find(({ specifier }) => /^(?:fastify$|@fastify\/)/.test(specifier)), file)
  }
})

t.test('only config.ts reads the environment', async (t) => {
  const readsIt = /\bprocess\s*(?:\?\.|\.|\[\s*['"`])\s*env\b|\{[^}]*\benv\b[^}]*\}\s*=\s*process\b|import[^'"]*\benv\b[^'"]*from\s*'(?:node:)?process'/
  t.match(textOf('config.ts'), readsIt)
  t.same(files.filter((file) => readsIt.test(textOf(file))), ['config.ts'])
})
