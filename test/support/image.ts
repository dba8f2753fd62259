import { execFileSync } from 'node:child_process'
import { cpSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs'
import { dirname, join } from 'node:path'
import type { Test } from 'tap'
import type { Image } from './process.ts'
import { newScratch } from './scratch.ts'

const project = join(import.meta.dirname, '../..')
const read = (file: string) => readFileSync(join(project, file), 'utf8')

/** What stands in a Dockerfile, as far as this project's says it: one list for each stage. */
export interface Instruction { name: string, rest: string }

export function stagesOf (text: string): Instruction[][] {
  const lines = text.replaceAll('\\\n', ' ').split('\n').map((line) => line.trim()).filter((line) => line !== '' && !line.startsWith('#'))
  const stages: Instruction[][] = []
  for (const line of lines) {
    const [, name, rest] = /^([A-Z]+)\s+(.+)$/.exec(line) ?? []
    if (name === undefined) throw new Error(`The Dockerfile has a line that is not understood: ${line}`)
    if (name === 'FROM') stages.push([])
    stages.at(-1)!.push({ name, rest: rest! })
  }
  return stages
}

/** The last stage: what runs. */
export const finalStage = () => stagesOf(read('Dockerfile')).at(-1)!
export const all = (stage: Instruction[], name: string): string[] => stage.filter((one) => one.name === name).map(({ rest }) => rest)

/** The packages that `npm ci --omit=dev --omit=optional` installs, by the lock file. */
function productionPackages (): string[] {
  const { packages } = JSON.parse(read('package-lock.json')) as { packages: Record<string, { dev?: true, optional?: true, devOptional?: true, peer?: true }> }
  return Object.entries(packages).filter(([path, { dev, optional, devOptional }]) => path !== '' && !dev && !optional && !devOptional).map(([path]) => path)
}

/** What `.dockerignore` lets in, of what lies below a folder: the tests know its few forms. */
function letsIn (path: string): boolean {
  const rules = read('.dockerignore').split('\n').filter(Boolean)
  let admitted = true
  for (const rule of rules) {
    const pattern = rule.replace(/^!/, '')
    const matches = pattern === '*' || path === pattern || path.startsWith(`${pattern}/`) || (pattern.startsWith('**/') && path.endsWith(pattern.slice(2)))
    if (matches) admitted = rule.startsWith('!')
  }
  return admitted
}

/**
 * Puts together in a folder what the last stage of the Dockerfile copies, and closes it for writing. It runs as an
 * account of its own where the tests may choose one. Gone when the test ends.
 */
export function imageFolder (t: Test): Image & { env: Record<string, string>, health: string[] } {
  const folder = newScratch('latchkey-image', 0o755)
  t.teardown(() => {
    execFileSync('chmod', ['-R', 'u+w', folder])
    rmSync(folder, { recursive: true, force: true })
  })
  const stage = finalStage()
  for (const copy of all(stage, 'COPY')) {
    const parts = copy.split(/\s+/)
    if (parts[0] === '--from=packages') {
      for (const path of productionPackages()) {
        mkdirSync(dirname(join(folder, path)), { recursive: true })
        cpSync(join(project, path), join(folder, path), { recursive: true, filter: (source) => source === join(project, path) || !source.endsWith('/node_modules') })
      }
      continue
    }
    const target = join(folder, parts.pop()!)
    for (const source of parts) {
      const into = target.endsWith('/') ? join(target, source) : target
      cpSync(join(project, source), into, { recursive: true, filter: (path) => letsIn(path.slice(project.length + 1)) })
    }
  }
  execFileSync('chmod', ['-R', 'a-w,a+rX', folder])
  const env = Object.fromEntries(all(stage, 'ENV').flatMap((line) => line.split(/\s+/).map((pair) => pair.split('=') as [string, string])))
  const program = ([name, ...args]: string[]) => [name === 'node' ? process.execPath : name!, ...args]
  const nodeAccount = 1_000
  return {
    folder, env, command: program(JSON.parse(all(stage, 'CMD')[0]!) as string[]),
    health: program(JSON.parse(/CMD (\[.*\])$/.exec(all(stage, 'HEALTHCHECK')[0]!)![1]!) as string[]),
    ...(process.geteuid?.() === 0 && { uid: nodeAccount }),
  }
}

/** Every file below a folder, with when it was written. */
export const filesIn = (folder: string): string[] =>
  readdirSync(folder, { recursive: true, encoding: 'utf8' }).toSorted().map((path) => `${path} ${statSync(join(folder, path)).mtimeMs}`)
