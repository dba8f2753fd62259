/** What a statement will be asked by several callers at once, and the answer that they wait for. */
interface Batch<Answer> extends PromiseWithResolvers<Answer> { keys: Set<string> }

interface Line<Answer> { underWay: number, waiting?: Batch<Answer> | undefined, timer?: NodeJS.Timeout | undefined }

/** So many keys are worth a statement of their own, even while another is under way. */
const fullKeys = 16
/** For so long a statement that hangs holds up those behind it. */
const patienceMs = 50

/**
 * Lets callers of one tenant share a statement: what is asked in one turn of the event loop, or while a statement is
 * under way, leaves together in the next one. Its answer is of all keys that went along; each caller takes their own.
 * Nobody joins a statement that has left already, so that no answer is older than its question, and with nothing under
 * way nobody waits. Where the statement fails, it fails for all who share it.
 */
export function gather<Answer> (ask: (tenantId: string, keys: string[]) => Promise<Answer>): (tenantId: string, keys: readonly string[]) => Promise<Answer> {
  const lines = new Map<string, Line<Answer>>()

  const leave = (tenantId: string, line: Line<Answer>) => {
    const batch = line.waiting
    if (!batch) return
    clearTimeout(line.timer)
    line.waiting = undefined
    line.underWay++
    batch.resolve(ask(tenantId, [...batch.keys]))
    const back = () => {
      line.underWay--
      if (line.waiting) leave(tenantId, line)
      else if (line.underWay === 0) lines.delete(tenantId)
    }
    batch.promise.then(back, back)
  }

  const leaveUnlessOthersDo = (tenantId: string, line: Line<Answer>) => {
    if (line.underWay === 0) return leave(tenantId, line)
    clearTimeout(line.timer)
    if (line.waiting) line.timer = setTimeout(leave, patienceMs, tenantId, line)
  }

  return (tenantId, keys) => {
    let line = lines.get(tenantId)
    if (!line) lines.set(tenantId, line = { underWay: 0 })
    if (!line.waiting) {
      line.waiting = { keys: new Set(), ...Promise.withResolvers<Answer>() }
      setImmediate(leaveUnlessOthersDo, tenantId, line)
    }
    const { waiting } = line
    for (const key of keys) waiting.keys.add(key)
    if (waiting.keys.size >= fullKeys) leave(tenantId, line)
    return waiting.promise
  }
}
