import t from 'tap'
import { operations } from '../../support/document.ts'

t.test('every operation that may ask for a second factor or a proof takes the header, and no other does', async (t) => {
  for (const { id, parameters, said } of operations) {
    const codes = Object.values<any>(said.responses).flatMap(({ 'x-codes': list = [] }) => list as string[])
    const asks = codes.includes('insufficient_user_authentication') || codes.includes('proof_required')
    const header = parameters.find(({ name }) => name === 'Latchkey-Proof')
    t.equal(header !== undefined, asks, id)
    if (header) t.match(header, { in: 'header', example: undefined, schema: { type: 'string' } }, `${id}: nobody has to send it`)
  }
  t.ok(operations.filter(({ parameters }) => parameters.some(({ name }) => name === 'Latchkey-Proof')).length >= 10)
})
