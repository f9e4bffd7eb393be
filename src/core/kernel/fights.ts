import { Millis } from '../time.ts'
import { printRow } from './notation.ts'
import { type Row, rowId } from './rows.ts'

/** Who changed a row, as far as the kernel tells. */
export interface Editor {
  /** Port id of the netlink socket, by default the process id of its owner; 0 is the kernel, or not known. */
  readonly port: number
  /** Protocol number of the route that was put there. */
  readonly protocol?: number | undefined
}

/** Somebody undoes our repairs of a row, again and again. */
export interface Fight {
  /** As it should be. */
  readonly row: Row
  /** The last one to change it. */
  readonly by: Editor
  /** Name of the process whose id is the port id, if there is one. */
  readonly process: string | undefined
  readonly repairs: number
  readonly since: Millis
  /** How long the last repair waits. */
  readonly pause: Millis
  /** When it is over, unless somebody changes the row before. */
  readonly until: Millis
}

/** So many repairs of one row within that time are no accident. */
const many = 5
const within = Millis.seconds(10)
const firstPause = Millis.of(200)
const longestPause = Millis.seconds(10)

/**
 * Recognises that another program fights for a row, and slows the repairs down: each waits twice as long as the one
 * before, ten seconds at most, so that two programs that both mean well don't keep the kernel busy. It never gives up.
 */
export class Fights {
  /** Times of the last repairs by row; the row that was repaired last comes last. */
  readonly #repairs = new Map<string, readonly Millis[]>()
  readonly #ongoing = new Map<string, Fight>()

  get ongoing(): readonly Fight[] {
    return [...this.#ongoing.values()]
  }
  of(row: Row): Fight | undefined {
    return this.#ongoing.get(keyOf(row))
  }

  /** A row has to be repaired; the fight that it is part of, and whether that begins with it. */
  repair(row: Row, by: Editor, now: Millis): { readonly fight: Fight | undefined; readonly began: boolean } {
    const key = keyOf(row)
    const earlier = this.#ongoing.get(key)
    const times = earlier ? [] : this.#timesOf(key, now)
    if (!earlier && times.length < many) return { fight: undefined, began: false }
    const pause = earlier ? Millis.of(Math.min(longestPause, earlier.pause * 2)) : firstPause
    const fight: Fight = {
      ...{ row, by, pause, until: Millis.of(now + pause + within) },
      repairs: earlier ? earlier.repairs + 1 : times.length,
      since: earlier?.since ?? times[0] ?? now,
      process: earlier?.by.port === by.port ? earlier.process : undefined,
    }
    this.#repairs.delete(key)
    this.#ongoing.set(key, fight)
    return { fight, began: !earlier }
  }

  /** Who the other is; returns the fight with the name. */
  identify(fight: Fight, process: string | undefined): Fight {
    const named = { ...fight, process: process ?? fight.process }
    this.#ongoing.set(keyOf(fight.row), named)
    return named
  }

  /** Fights end when nobody has touched the row for long enough. */
  tick(now: Millis): void {
    for (const [key, { until }] of this.#ongoing) if (until <= now) this.#ongoing.delete(key)
  }

  nextDeadline(): Millis | undefined {
    if (this.#ongoing.size === 0) return undefined
    return Millis.of(Math.min(...[...this.#ongoing.values()].map(({ until }) => until)))
  }

  /** The last repairs of the row, with this one. */
  #timesOf(key: string, now: Millis): readonly Millis[] {
    for (const [old, times] of this.#repairs) {
      if ((times.at(-1) ?? 0) + within > now) break
      this.#repairs.delete(old)
    }
    const times = [...(this.#repairs.get(key) ?? []).filter((at) => at + within > now), now]
    this.#repairs.delete(key)
    this.#repairs.set(key, times)
    return times
  }
}

const keyOf = (row: Row): string => `${String(row.link)}/${rowId(row)}`

/** In a sentence; `device` is that of the row. */
export const describeFight = (fight: Fight, device: string): string =>
  `${printRow(fight.row, device)} was changed ${String(fight.repairs)} times, last by ${describeOpponent(fight)}; ` +
  'it is repaired more and more slowly'

export const describeOpponent = ({ by: { port, protocol }, process }: Fight): string =>
  [
    ...(protocol === undefined ? [] : [`route protocol ${String(protocol)}`]),
    port === 0
      ? 'somebody whom the kernel does not name'
      : `netlink port ${String(port)}${process === undefined ? '' : ` (${process})`}`,
  ].join(', ')
