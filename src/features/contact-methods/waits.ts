import type { TenantTx } from '../../platform/db/index.ts'
import { takingBack } from '../../platform/db/savepoint.ts'
import type { Actor, Deps, Precondition, PreconditionOf, Waiting } from '../../platform/deps.ts'
import { askForApproval, ifMatchOf, type Executor, type Wish } from '../approvals/approvals.ts'
import { isSelf, judgeTarget } from '../authority/may.ts'
import { requireStepUp } from '../authority/step-up.ts'
import { lockedUser, targetOf } from '../users/users.ts'
import { addContactMethod } from './add.ts'
import { changeContactMethod, type CancelChallenges } from './change.ts'
import { chooseDefault } from './default.ts'
import { removeContactMethod } from './remove.ts'
import type { ContactMethod, ContactMethodChange, DefaultMethod, NewContactMethod } from './schema.ts'

/** What the changes of methods are handed. */
export interface MethodTools { cancelChallenges: CancelChallenges, preconditionOf: PreconditionOf }

/** The requests as they are kept while they wait. `ifMatch` is judged again when they are carried out. */
interface Add { userId: string, input: NewContactMethod }
interface Change { userId: string, methodId: string, input: ContactMethodChange, ifMatch?: string }
interface Remove { userId: string, methodId: string, ifMatch?: string }
interface Choose { userId: string, input: DefaultMethod, ifMatch?: string }

/** Adds a method, or asks for it. */
export const addOrAsk = (deps: Deps, tx: TenantTx, actor: Actor, userId: string, input: NewContactMethod): Promise<ContactMethod | Waiting> =>
  doOrAsk(deps, tx, actor, {
    action: 'contactMethod.add', userId, request: { userId, input } satisfies Add, details: { kind: input.kind, ...(input.preVerified && { preVerified: true }) },
  }, (inner, as) => addContactMethod(deps, inner, as, userId, input))

/** Changes a method, or asks for it. */
export const changeOrAsk = (deps: Deps, tx: TenantTx, actor: Actor, userId: string, methodId: string, input: ContactMethodChange, precondition: Precondition, { cancelChallenges }: MethodTools): Promise<ContactMethod | Waiting> =>
  doOrAsk(deps, tx, actor, {
    action: 'contactMethod.change', userId, resourceId: methodId, request: { userId, methodId, input, ...ifMatchOf(precondition) } satisfies Change, details: { fields: Object.keys(input) },
  }, (inner, as) => changeContactMethod(deps, inner, as, userId, methodId, input, precondition, cancelChallenges))

/** Removes a method, or asks for it. */
export const removeOrAsk = (deps: Deps, tx: TenantTx, actor: Actor, userId: string, methodId: string, precondition: Precondition, { cancelChallenges }: MethodTools): Promise<Waiting | undefined> =>
  doOrAsk(deps, tx, actor, {
    action: 'contactMethod.remove', userId, resourceId: methodId, request: { userId, methodId, ...ifMatchOf(precondition) } satisfies Remove,
  }, (inner, as) => removeContactMethod(deps, inner, as, userId, methodId, precondition, cancelChallenges).then(() => undefined))

/** Chooses the default method, or asks for it. */
export const chooseOrAsk = (deps: Deps, tx: TenantTx, actor: Actor, userId: string, input: DefaultMethod, precondition: Precondition): Promise<ContactMethod | Waiting> =>
  doOrAsk(deps, tx, actor, {
    action: 'defaultMethod.choose', userId, resourceId: input.methodId, request: { userId, input, ...ifMatchOf(precondition) } satisfies Choose,
    details: input.channel === undefined ? {} : { channel: input.channel },
  }, (inner, as) => chooseDefault(deps, inner, as, userId, input, precondition))

/**
 * Does it now or, to a privileged user, asks a second approver. Then it is judged by doing it and taking that back, so
 * that nobody waits for what would be refused.
 */
async function doOrAsk<T extends ContactMethod | undefined> (deps: Deps, tx: TenantTx, actor: Actor, wish: Wish & { userId: string }, work: (tx: TenantTx, actor: Actor) => Promise<T>): Promise<T | Waiting> {
  const { userId } = wish
  const mayHaveToWait = actor.roles.includes('privilegedAdmin') && !isSelf(actor, userId)
  if (!mayHaveToWait || judgeTarget(actor, 'contactMethods.write', targetOf(await lockedUser(tx, userId))) === 'now') return work(tx, actor)
  requireStepUp(actor, 'contactMethods.write')
  const asIfApproved = { ...actor, approvedBy: { approvalId: '', approver: '' } }
  const tried = await takingBack(tx, (inner) => work(inner, asIfApproved), () => true)
  return askForApproval(deps, tx, actor, { ...wish, ...(tried && { shown: { display: tried.pendingChange?.display ?? tried.display } }) })
}

/** How the changes of methods that waited are carried out. */
export const methodExecutors = ({ cancelChallenges, preconditionOf }: MethodTools) => ({
  'contactMethod.add': {
    summary: 'Add a contact method to a privileged user',
    execute: async (deps, tx, actor, { userId, input }) => { await addContactMethod(deps, tx, actor, userId, input) },
  } satisfies Executor<Add>,
  'contactMethod.change': {
    summary: 'Change a contact method of a privileged user',
    execute: async (deps, tx, actor, { userId, methodId, input, ifMatch }) => { await changeContactMethod(deps, tx, actor, userId, methodId, input, preconditionOf(ifMatch), cancelChallenges) },
  } satisfies Executor<Change>,
  'contactMethod.remove': {
    summary: 'Remove a contact method of a privileged user',
    execute: (deps, tx, actor, { userId, methodId, ifMatch }) => removeContactMethod(deps, tx, actor, userId, methodId, preconditionOf(ifMatch), cancelChallenges),
  } satisfies Executor<Remove>,
  'defaultMethod.choose': {
    summary: 'Choose the default method of a privileged user',
    execute: async (deps, tx, actor, { userId, input, ifMatch }) => { await chooseDefault(deps, tx, actor, userId, input, preconditionOf(ifMatch)) },
  } satisfies Executor<Choose>,
})
