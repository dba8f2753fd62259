import type { Caller } from './caller.ts'
import { answers, type Tour } from './tour.ts'

interface Verified { what: string, kind: string, value: string, channel: string, extension?: string }

/** Adds a method and verifies it with the code that is sent to it; gives its id. `headers` go with both changes. */
export async function addAndVerify ({ ask, codeOf }: Tour, person: Caller, { what, kind, value, channel, extension }: Verified, headers: Record<string, string> = {}): Promise<string> {
  const added = await ask(`${what}: it is added, and pending.`, person.post('/v1/users/me/contact-methods', { kind, value, ...(extension !== undefined && { extension }) }, headers), answers(201, { kind, status: 'pending' }))
  const started = await ask('A code is sent to it.', person.post('/v1/challenges', { userId: 'me', purpose: 'verifyContact', methodId: added.id }), answers(201, { status: 'pending', channel, destination: String }))
  await ask('The code comes back right.', person.post(`/v1/challenges/${started.id}/verify`, { code: await codeOf(person, started.id) }, headers), answers(200, { status: 'approved' }))
  return added.id as string
}

/** Verifies a pass with a `recovery` challenge; gives the proof. */
export async function proofByPass ({ ask }: Tour, person: Caller, pass: string): Promise<string> {
  const started = await ask('A recovery by pass. Nothing is sent.', person.post('/v1/challenges', { userId: 'me', purpose: 'recovery', channel: 'temporaryAccessPass' }),
    answers(201, { status: 'pending', channel: 'temporaryAccessPass', destination: null, delivery: null }))
  const { proof } = await ask('The pass is right: a proof.', person.post(`/v1/challenges/${started.id}/verify`, { code: pass }), answers(200, { status: 'approved', proof: String }))
  return proof as string
}
