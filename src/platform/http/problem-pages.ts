import type { FastifyInstance } from 'fastify'
import { Refusal, refusalCodes, statusOf, titleOf, type RefusalCode } from '../refusal.ts'
import { advice } from './problem-advice.ts'

const style = 'body{font:16px/1.5 system-ui,sans-serif;max-width:42rem;margin:3rem auto;padding:0 1rem;color:#1c2430;background:#fff}button{font:inherit;padding:.6rem 1rem;border:0;border-radius:6px;background:#b3261e;color:#fff;cursor:pointer}code{background:#eef1f5;padding:.1em .3em;border-radius:4px}a{color:#0b57d0}dt{font-weight:600;margin-top:1rem}@media(prefers-color-scheme:dark){body{color:#e6e9ee;background:#14181f}code{background:#252b36}a{color:#8ab4f8}}'

/** A page in plain HTML, without a script. Who puts text of others into it escapes that first. */
export const page = (title: string, body: string) =>
  `<!doctype html><html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width,initial-scale=1"><title>${title}</title><link rel="stylesheet" href="/problems/style.css"></head><body><main>${body}</main></body></html>`

/** The pages that `type` of a problem points to: what the code means, and what to do. */
export async function problemPages (app: FastifyInstance): Promise<void> {
  app.get('/problems/style.css', { schema: { hide: true } }, async (_request, reply) => reply.type('text/css; charset=utf-8').header('cache-control', 'public, max-age=3600').send(style))

  app.get('/problems', { schema: { hide: true } }, async (_request, reply) => {
    const items = refusalCodes.map((code) => `<dt><a href="/problems/${code}"><code>${code}</code></a> (${statusOf(code)})</dt><dd>${titleOf(code)}.</dd>`)
    return reply.type('text/html; charset=utf-8').send(page('Problems', `<h1>Problems</h1><p>Every error of the API has one of these codes.</p><dl>${items.join('')}</dl>`))
  })

  app.get('/problems/:code', { schema: { hide: true } }, async (request, reply) => {
    const { code } = request.params as { code: string }
    if (!(refusalCodes as string[]).includes(code)) throw new Refusal('not_found', 'There is no such problem.')
    const known = code as RefusalCode
    const { means, todo } = advice[known]
    return reply.type('text/html; charset=utf-8').send(page(titleOf(known), `<p><a href="/problems">All problems</a></p><h1>${titleOf(known)}</h1><dl><dt>Code</dt><dd><code>${known}</code></dd><dt>Status</dt><dd>${statusOf(known)}</dd><dt>What it means</dt><dd>${means}</dd><dt>What to do</dt><dd>${todo}</dd></dl>`))
  })
}
