import { readFileSync, statSync } from 'node:fs'
import { userInfo } from 'node:os'
import { dirname } from 'node:path'
import { unavailable } from './processes.ts'

/** A user of the operating system, in the words of `spawn`. */
export interface Account { uid: number, gid: number }

/**
 * Who runs the server: undefined means we do ourselves. Postgres refuses to be root, so root hands it to
 * the owner of the cluster that is already there, else to `postgres`, else to `nobody`.
 */
export function serverAccount (data: string): Account | undefined {
  if (!process.geteuid) throw unavailable(`it does not know ${process.platform}`)
  if (process.geteuid() === 0) {
    const owner = statSync(data, { throwIfNoEntry: false })
    if (owner && owner.uid !== 0) return { uid: owner.uid, gid: owner.gid }
    const account = accountNamed('postgres') ?? accountNamed('nobody')
    if (!account) throw unavailable('Postgres must not run as root, and there is neither a user postgres nor a user nobody')
    return account
  }
  try {
    userInfo()
  } catch (error) {
    throw unavailable(`user ${process.geteuid()} has no passwd entry`, error)
  }
  return undefined
}

function accountNamed (name: string): Account | undefined {
  const entry = readFileSync('/etc/passwd', 'utf8').split('\n').find((line) => line.startsWith(`${name}:`))
  if (!entry) return undefined
  const [, , uid, gid] = entry.split(':')
  return { uid: Number(uid), gid: Number(gid) }
}

/** True if the account may walk down to this folder, that is, enter it and each folder above it. */
export function canReach (account: Account, folder: string): boolean {
  const { mode, uid, gid } = statSync(folder)
  const mayEnter = uid === account.uid ? mode & 0o100 : gid === account.gid ? mode & 0o010 : mode & 0o001
  const parent = dirname(folder)
  return mayEnter !== 0 && (parent === folder || canReach(account, parent))
}
