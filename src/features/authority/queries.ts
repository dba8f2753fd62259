import type { HotStatement } from '../../platform/db/index.ts'
import type { UserStatus } from '../../vocabulary.ts'

export interface PersonRow {
  status: UserStatus | null
  privileged: boolean | null
  sessions_valid_from: Date | null
  mfa_epoch: number | null
  strongest: number
  server_now: Date
}

export const admitPerson: HotStatement = { name: 'admit_person', text: 'select * from admit_person($1, $2)' }
