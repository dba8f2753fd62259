import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import type { AddressInfo } from 'node:net'

/** A port that is free now. */
export async function freePort (): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  server.close()
  await once(server, 'close')
  return port
}

export interface ServerProcess { origin: string, child: ChildProcess, readyAfterMs: number, stop: () => Promise<void> }

/** What `npm start` gives to Node, so that what is measured is what runs. */
const nodeFlags = (JSON.parse(readFileSync(join(import.meta.dirname, '../../package.json'), 'utf8')) as { scripts: { start: string } }).scripts.start.match(/--\S+/g) ?? []

/** Starts a script as its own process and waits until `path` answers 200. */
export async function startServer (script: string, env: Record<string, string>, path: string): Promise<ServerProcess> {
  const port = await freePort()
  const origin = `http://127.0.0.1:${port}`
  const startedMs = performance.now()
  const child = spawn(process.execPath, [...nodeFlags, script], { env: { NODE_COMPILE_CACHE: 'node_modules/.cache/compile', ...process.env, PORT: String(port), ...env }, stdio: ['ignore', 'ignore', 'inherit'] })
  for (;;) {
    if (child.exitCode !== null) throw new Error(`${script} ended with ${child.exitCode}`)
    const ok = await fetch(origin + path).then((reply) => reply.ok, () => false)
    if (ok) break
    await pause(5)
  }
  return {
    origin, child, readyAfterMs: performance.now() - startedMs,
    async stop () {
      if (child.exitCode !== null) return
      child.kill('SIGTERM')
      await once(child, 'exit')
    },
  }
}

export const median = (values: readonly number[]): number => values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)]!
