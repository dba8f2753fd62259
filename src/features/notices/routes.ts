import type { FastifyError, FastifyPluginAsync, FastifyReply, FastifyRequest } from 'fastify'
import type { TenantTx } from '../../platform/db/index.ts'
import type { Deps } from '../../platform/deps.ts'
import { page } from '../../platform/http/problem-pages.ts'
import { refusalOf } from '../../platform/http/problems.ts'
import { closed } from '../../platform/http/schemas.ts'
import { Refusal, statusOf } from '../../platform/refusal.ts'
import { openLink, readToken, type Deed, type LinkRow } from './links.ts'
import { buttonTexts, happened, timeText, type NoticeKind } from './texts.ts'

/** What a link does belongs to the features that it changes; they are handed in. */
export interface NotMe {
  /** What the button would do now. Changes nothing. */
  would: (tx: TenantTx, link: LinkRow) => Promise<Deed>
  /** Does it; 410 for all but one of several at once. */
  act: (tx: TenantTx, link: LinkRow) => Promise<Deed>
  organization: (tx: TenantTx) => Promise<Sender>
}

interface Sender { name: string | null, locale: string }

const title = 'This was not me'
const contentSecurityPolicy = 'default-src \'none\'; style-src \'self\'; base-uri \'none\'; form-action \'self\'; frame-ancestors \'none\''

/**
 * The pages behind a link. Whoever has the link needs no token; opening it changes nothing, since mail scanners open
 * links too: the button on the page acts. Not in the OpenAPI document, like every page that is for people.
 */
export const notMePages = (deps: Deps, notMe: NotMe): FastifyPluginAsync => async (app) => {
  app.addContentTypeParser('application/x-www-form-urlencoded', { parseAs: 'string', bodyLimit: 64 }, (_request, body, done) => {
    if (body === '') done(null, {})
    else done(new Refusal('validation_failed', 'The form has no fields.', { errors: [{ pointer: '', code: 'unexpected', message: 'must be empty' }] }))
  })
  app.setErrorHandler((error: FastifyError, request, reply) => {
    const refusal = refusalOf(error, request)
    if (!wantsPage(request) || refusal.code === 'internal_error') throw error // the form that every error has
    return show(reply.code(statusOf(refusal.code)), faults[refusal.code] ?? `<h1>That did not work</h1><p>${escaped(refusal.message)}</p>`)
  })

  app.get<{ Params: { token: string } }>('/not-me/:token', { schema: { hide: true } }, async (request, reply) => {
    const { tenantId, linkId } = readToken(deps.keys, request.params.token)
    return deps.db.inTenant(tenantId, async (tx) => {
      const link = await openLink(tx, linkId)
      const { does, button } = buttonTexts[await notMe.would(tx, link)]
      return show(reply, `<h1>${title}</h1>${story(await notMe.organization(tx), link)}<p>${does}</p><p>If it was you, close this page: nothing happens.</p><form method="post"><button type="submit">${button}</button></form>`)
    })
  })

  app.post<{ Params: { token: string } }>('/not-me/:token', { schema: { hide: true, body: closed({}), 'x-body-optional': true } }, async (request, reply) => {
    const { tenantId, linkId } = readToken(deps.keys, request.params.token)
    const deed = await deps.db.inTenant(tenantId, async (tx) => notMe.act(tx, await openLink(tx, linkId)))
    return show(reply, `<h1>Done</h1><p>${buttonTexts[deed].done}</p>`)
  })
}

const story = ({ name, locale }: Sender, { kind, created_at: at }: LinkRow) =>
  `<p>${escaped(name ?? 'Latchkey')}, ${timeText(at)}: ${escaped(happened({ kind: kind as NoticeKind, details: {}, locale, about: null }))}</p>`

/** Whoever names HTML gets a page; a program gets the form that every error of the API has. */
const wantsPage = ({ headers: { accept = '' } }: FastifyRequest) => accept.includes('text/html')

const faults: { [code: string]: string } = {
  not_found: '<h1>This link leads nowhere</h1><p>It is not complete, or not one of ours. Open it from the message once more.</p>',
  link_expired: '<h1>This link is over</h1><p>It was used, its time is over, or the account was reset since. If something is wrong, tell your help desk at once.</p>',
}

const show = (reply: FastifyReply, body: string) =>
  reply.type('text/html; charset=utf-8').header('content-security-policy', contentSecurityPolicy).send(page(title, body))

const escapes: Record<string, string> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;', '\'': '&#39;' }
const escaped = (text: string) => text.replace(/[&<>"']/g, (character) => escapes[character]!)
