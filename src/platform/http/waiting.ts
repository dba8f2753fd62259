import { Type } from '@sinclair/typebox'
import type { Waiting } from '../deps.ts'
import type { Answer } from './idempotency.ts'
import { answer, closed, locationHeader, Uuid } from './schemas.ts'

const exampleId = '0199c0de-0000-7000-8000-000000000007'

/** What is answered where a second approver has to agree first. */
export const PendingApproval = closed({
  status: Type.Literal('pendingApproval'),
  approvalId: { ...Uuid, description: 'Of the approval that the Location names.' },
}, { $id: 'PendingApproval', title: 'PendingApproval', examples: [{ status: 'pendingApproval', approvalId: exampleId }] })

/** The good answer of a route that may have to wait, beside its others. */
export const mayWait = { 202: answer(PendingApproval, 'It waits for a second approver, for 30 minutes.', locationHeader(`/v1/approvals/${exampleId}`)) }

/** Whether a change waits instead of being done. */
export const isWaiting = (result: object | undefined): result is Waiting => result !== undefined && 'approvalId' in result

/** The answer to a change that waits. */
export const waitingAnswer = ({ approvalId }: Waiting): Answer =>
  ({ status: 202, headers: { location: `/v1/approvals/${approvalId}` }, body: { status: 'pendingApproval', approvalId } })
