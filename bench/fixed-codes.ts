import { createLog } from '../src/platform/log.ts'
import { parseKeyRing } from '../src/platform/keys.ts'
import { workerUrlFrom } from '../src/platform/db/roles.ts'
import { systemRandom } from '../src/platform/random.ts'
import { createService } from '../src/service.ts'

/** The service as `main.ts` starts it, but for one thing: every code is the same, so that a bench need not read the inbox. */
const keyRing = parseKeyRing(process.env.KEY_RING!)
const serviceUrl = process.env.SERVICE_DATABASE_URL!
const { app, stop } = await createService({
  serviceUrl, workerUrl: workerUrlFrom(serviceUrl, keyRing), keyRing, issuers: JSON.parse(process.env.ISSUERS!), signIn: null, proofIssuer: 'latchkey', adminTokenMaxSeconds: 3600,
  sandboxAllowed: true, trustedProxies: [], production: false, log: createLog('info'), random: { ...systemRandom, digits: (length) => '1'.repeat(length) },
})
process.once('SIGTERM', () => { void stop().then(() => process.exit(0)) })
await app.listen({ port: Number(process.env.PORT), host: '127.0.0.1' })
