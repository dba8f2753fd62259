/** Runs what it is given, so many at a time and in the order in which they came. */
export type InTurn = <T>(work: () => Promise<T>) => Promise<T>

/** Places for so many at a time. */
export function turns (atOnceMax: number): InTurn {
  let taken = 0
  const inLine: Array<() => void> = []
  return async (work) => {
    if (taken >= atOnceMax) await new Promise<void>((resolve) => { inLine.push(resolve) })
    else taken++
    try {
      return await work()
    } finally {
      const next = inLine.shift()
      if (next) next() // takes over the place
      else taken--
    }
  }
}
