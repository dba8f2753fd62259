import { offboarded, ordinary, privileged, unknown } from './others.ts'
import { oneself, tenant } from './own.ts'

/**
 * Who hears what, for every route about a user and about the tenant: written by hand from the contract and the rules,
 * never from the code. A row is a route, a column a caller, and a cell what they hear.
 *
 * Cells are a status, or a name of one:
 *   role scope priv self purp rvl vouch own   403 with the rule role, scope, privileged_target, self_administration,
 *                                             purpose, reveal, policy_pre_verified, own_request
 *   proof  403 proof_required     gone  409 user_offboarded     401  insufficient_user_authentication
 *   yes waits no:…                200 of a dry run: allowed, allowed once approved, or not, by this rule
 *
 * Callers: a person without a role, the five roles, `stale` (every administrator's role, but the second factor is
 * 11 minutes old), `next` (a privileged administrator of a neighbour tenant). What apps hear stands last: first whoever
 * lacks the scope, then the one scope that is enough.
 */
export const callers = ['user', 'reader', 'helpdesk', 'privilegedAdmin', 'policyAdmin', 'auditor', 'stale', 'next'] as const
export type CallerName = typeof callers[number]

const grids = { ordinary, privileged, offboarded, unknown, neighbours: unknown, oneself, tenant }
export type TargetName = keyof typeof grids
export interface Row { route: string, cells: Partial<Record<CallerName, string>>, apps: { others: string, scope: string | null, enough: string } | null }

/** The rows of a grid. */
export function rowsOf (target: TargetName): Row[] {
  const [head, ...lines] = grids[target].trim().split('\n')
  const columns = head!.trim().split(/\s+/)
  return lines.map((line) => {
    const words = line.slice(23).trim().split(/\s+/)
    const persons = columns.filter((column) => column !== 'apps').length
    const cells = Object.fromEntries(callers.slice(0, persons).map((caller, index) => [caller, words[index]!]))
    const [others, exception] = words.slice(persons)
    const [scope, enough] = exception === undefined ? [null, ''] : exception.split(/=/) as [string, string]
    if (words.length > columns.length + 1 || words.length < columns.length) throw new Error(`a row of ${target} has ${words.length} cells: ${line}`)
    return { route: line.slice(0, 23).trim(), cells, apps: others === undefined || others === '-' ? null : { others, scope, enough } }
  })
}
