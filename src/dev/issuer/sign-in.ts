import type { IncomingMessage, ServerResponse } from 'node:http'
import { errors, type Provider } from 'oidc-provider'
import { readBody } from './http.ts'
import type { DemoUser, IssuerOptions } from './issuer.ts'
import { page, signInPage } from './page.ts'
import { accountKey } from './provider.ts'

export interface Choice { value: string, user: DemoUser, amr: string[], label: string }

type Interaction = Awaited<ReturnType<Provider['interactionDetails']>>

/** The page on which one chooses whom to sign in as, and what its buttons do. */
export function signInPages (provider: Provider, { demoUsers }: IssuerOptions) {
  const choices = demoUsers.flatMap((user): Choice[] => [
    { value: `${accountKey(user)} mfa`, user, amr: ['pwd', 'mfa'], label: `Sign in as ${user.subject} with a second factor` },
    { value: `${accountKey(user)} pwd`, user, amr: ['pwd'], label: `Sign in as ${user.subject}, password only` },
  ])

  return async (request: IncomingMessage, response: ServerResponse) => {
    try {
      const interaction = await provider.interactionDetails(request, response)
      if (interaction.prompt.name !== 'login') {
        return await provider.interactionFinished(request, response, { [interaction.prompt.name]: {} })
      }
      if (request.method === 'GET' || request.method === 'HEAD') return await show(200, interaction, response)
      if (request.method === 'POST') return await choose(interaction, request, response)
      response.setHeader('Allow', 'GET, HEAD, POST')
      return send(response, 405, page('Sign in', { heading: 'That did not work', text: 'This page knows GET and POST.' }))
    } catch (error) {
      if (!(error instanceof errors.SessionNotFound)) throw error
      return send(response, 400, page('Sign in', {
        heading: 'This sign-in has ended', text: 'It is over, too old, or was started in another browser. Start again from the application.',
      }))
    }
  }

  async function show (status: number, { params }: Interaction, response: ServerResponse) {
    const client = await provider.Client.find(String(params['client_id']))
    // Browsers hold `form-action` against the redirect that follows the form, so the client's address must be in it.
    const returnsTo = new URL(String(params['redirect_uri'])).origin
    send(response, status, signInPage(client?.clientName ?? String(params['client_id']), choices, returnsTo))
  }

  async function choose (interaction: Interaction, request: IncomingMessage, response: ServerResponse) {
    const as = new URLSearchParams((await readBody(request))?.toString('utf8')).get('as')
    if (as === 'nobody') {
      return provider.interactionFinished(request, response, { error: 'access_denied', error_description: 'the person left' })
    }
    const choice = choices.find(({ value }) => value === as)
    if (!choice) return show(400, interaction, response)
    const accountId = accountKey(choice.user)
    if (interaction.session && interaction.session.accountId !== accountId) await endSession(interaction)
    return provider.interactionFinished(request, response, { login: { accountId, amr: choice.amr } })
  }

  /** The library would send another person through a log-out page that works by script alone; here the old session ends. */
  async function endSession (interaction: Interaction) {
    const session = await provider.Session.findByUid(interaction.session?.uid ?? '')
    delete interaction.session
    await interaction.persist()
    await session?.destroy()
  }
}

function send (response: ServerResponse, status: number, { headers, html }: ReturnType<typeof page>) {
  response.writeHead(status, { ...headers, 'Content-Length': Buffer.byteLength(html) }).end(html)
}
