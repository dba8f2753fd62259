import type { HotStatement } from '../../platform/db/index.ts'

/** An approved challenge, and its user as they are now. */
export interface StandingRow {
  user_id: string
  purpose: string
  channel: string
  starter_kind: string
  starter_id: string
  mfa_epoch: number
  approved_at: Date
  bound_at: Date | null
  current_epoch: number
  strongest: number
}

export const proofStanding: HotStatement = { name: 'proof_standing', text: 'select * from proof_standing($1, $2)' }
