import { createHash, randomBytes } from 'node:crypto'
import { chmodSync, lstatSync, mkdirSync, readdirSync, readlinkSync, realpathSync, renameSync, rmdirSync, symlinkSync } from 'node:fs'
import { basename, dirname, join, resolve } from 'node:path'
import { canReach, type Account } from './account.ts'
import { unavailable } from './processes.ts'

/** Others may pass through but not look around. */
const passable = 0o711
/** `pg_ctl` and `initdb` put paths between double quotes into a shell command. */
const unquotable = /["$`\\\n]/

export interface Housing {
  directory: string
  account: Account | undefined
  log: (message: string) => void
  /** Ends a server that may still run in a home which is about to be given up. */
  vacate: (home: string) => Promise<void>
}

/**
 * Answers the real path of the folder that holds everything. That is the directory itself, or, where the
 * server's account cannot get at it, a folder in /var/tmp that the directory then links to.
 */
export async function settle (housing: Housing): Promise<string> {
  const { directory, account, log } = housing
  const parent = realpathSync(dirname(directory))
  const wanted = join(parent, basename(directory))
  const found = lstatSync(directory, { throwIfNoEntry: false })
  const usable = !unquotable.test(wanted) && (!account || canReach(account, parent))

  if (found?.isSymbolicLink()) {
    const target = resolve(parent, readlinkSync(directory))
    if (target === shelterFor(wanted)) return openShelter(target)
    const home = realpathSync(target)
    if (account && !canReach(account, dirname(home))) throw outOfReach(home, account)
    return home
  }
  if (usable) {
    if (!found) mkdirSync(wanted)
    if (!found || account) chmodSync(wanted, passable)
    return wanted
  }
  if (found) {
    if (readdirSync(wanted).length > 0) throw outOfReach(wanted, account)
    rmdirSync(wanted)
  }
  const shelter = shelterFor(wanted)
  await setAside(shelter, housing)
  openShelter(shelter)
  symlinkSync(shelter, wanted)
  log(`Postgres cannot use ${wanted}, so its files are in ${shelter}`)
  return shelter
}

const outOfReach = (home: string, account?: Account) =>
  unavailable(`user ${account?.uid ?? process.geteuid?.()} cannot use ${home} because of its name or the folders above it`)

/** What is made on the way to a folder stays passable whatever the umask; what was there keeps its mode. */
export function makeFolders (folder: string): void {
  const umask = process.umask(0o777 & ~passable)
  try {
    mkdirSync(folder, { recursive: true, mode: passable })
  } finally {
    process.umask(umask)
  }
}

function shelterFor (wanted: string): string {
  return join('/var/tmp', `latchkey-${createHash('sha256').update(wanted).digest('hex').slice(0, 16)}`)
}

/** Anyone may write to /var/tmp, so a folder that someone else put there is not trusted. */
function openShelter (shelter: string): string {
  try {
    mkdirSync(shelter)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
  }
  const { uid } = lstatSync(shelter)
  if (!lstatSync(shelter).isDirectory() || uid !== process.geteuid?.()) throw unavailable(`${shelter} belongs to someone else`)
  chmodSync(shelter, passable)
  return shelter
}

/** Whoever removed the link wanted to start anew; the old rows must not come back, nor be lost by a mistake. */
async function setAside (shelter: string, { log, vacate }: Housing): Promise<void> {
  if (!lstatSync(shelter, { throwIfNoEntry: false })) return
  openShelter(shelter)
  await vacate(shelter)
  const aside = `${shelter}.old-${randomBytes(4).toString('hex')}`
  renameSync(shelter, aside)
  log(`The link to an earlier Postgres is gone; its files are now in ${aside}`)
}
