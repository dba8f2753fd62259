import { existsSync, globSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import t from 'tap'
import { Environment } from '../../src/config.ts'

const project = join(import.meta.dirname, '../..')
const read = (file: string) => readFileSync(join(project, file), 'utf8')
const documents = ['README.md', 'src/README.md', ...globSync('docs/**/*.md', { cwd: project })]

t.test('docs/configuration.md lists exactly the environment that the code reads, in its words', async (t) => {
  const rows = [...read('docs/configuration.md').split('\n## ')[0]!.matchAll(/^\| `(\w+)` \| (.*) \|$/gm)].map(([, name, text]) => ({ name, text }))
  const variables = Object.entries(Environment.properties).map(([name, schema]) => ({ name, text: (schema as { description?: string }).description }))
  t.same(rows, variables)
})

t.test('every link in a document leads to a file that is there', async (t) => {
  for (const document of documents) {
    for (const [, target] of read(document).matchAll(/\]\((?!https?:)([^)#]+)[^)]*\)/g)) {
      t.ok(existsSync(join(project, dirname(document), target!)), `${document} → ${target}`)
    }
  }
})

t.test('every npm command that a document names is there, and so is every operator\'s command', async (t) => {
  const scripts = Object.keys((JSON.parse(read('package.json')) as { scripts: object }).scripts)
  const operations = globSync('src/ops/*.ts', { cwd: project }).map(read).flatMap((text) => [...text.matchAll(/^ {2}words: '([^']+)'/gm)].map(([, words]) => words!))
  t.ok(operations.length >= 5)
  for (const document of documents) {
    for (const [, script] of read(document).matchAll(/npm run (?:--silent )?([a-z:-]+)/g)) t.ok(scripts.includes(script!), `${document}: npm run ${script}`)
    for (const [, words] of read(document).matchAll(/npm run (?:--silent )?ops -- ([a-z -]+)/g)) {
      t.ok(operations.some((operation) => words!.startsWith(operation)), `${document}: ops ${words}`)
    }
  }
})

t.test('every operation that a document names is in the contract', async (t) => {
  const { paths } = JSON.parse(read('openapi/openapi.json')) as { paths: Record<string, object> }
  const known = new Set(Object.entries(paths).flatMap(([path, methods]) => Object.keys(methods).map((method) => `${method.toUpperCase()} ${path}`)))
  let found = 0
  for (const document of documents) {
    for (const [, method, path] of read(document).matchAll(/`(GET|POST|PUT|PATCH|DELETE) (\/v1\/[^\s`?…]+)[^`…]*`/g)) {
      found += 1
      t.ok(known.has(`${method} ${path}`), `${document}: ${method} ${path}`)
    }
  }
  t.ok(found > 20)
})

t.test('every environment variable that a document names is one that is read', async (t) => {
  const known = new Set([...Object.keys(Environment.properties), 'POSTGRES_PASSWORD', 'TEST_DATABASE_URL', 'LATCHKEY_LONG'])
  for (const document of documents) {
    for (const [, name] of read(document).matchAll(/`([A-Z]+(?:_[A-Z]+)+)(?:=[^`]*)?`/g)) t.ok(known.has(name!), `${document}: ${name}`)
  }
})
