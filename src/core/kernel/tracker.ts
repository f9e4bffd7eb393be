import type { Fault } from '../fault.ts'
import { Millis } from '../time.ts'
import { Entry, Owed } from './owed.ts'
import { type Op, type Row, type RowKey, rowKey, sameRow } from './rows.ts'

/** Why a wanted row is not in the kernel, since when, and when it is tried again. */
export interface Failure {
  readonly fault: Fault
  readonly since: Millis
  readonly attempts: number
  readonly retryAt: Millis
}

/**
 * One table: what it should hold, what it is believed to hold, and so what is owed to the kernel.
 *
 * ```
 *            desired              believed actual
 *      ┌───────────────┬─────────────┬───────────────┐
 *      │ owed: add     │   in step   │ owed: remove  │
 *      └───────────────┴─────────────┴───────────────┘
 * ```
 *
 * The belief is set when a write is handed out and corrected by what comes back: a refusal, somebody else's
 * edit, a dump. Every correction that comes late costs one idempotent write and never a wrong table.
 *
 * Mutable inside: ten thousand rows change one at a time, and a copy for each would be quadratic.
 */
export class Tracker<R extends Row> {
  readonly #entries = new Map<RowKey, Entry<R>>()
  readonly #adds = new Owed<R>()
  readonly #removes = new Owed<R>()
  readonly #failures = new Map<RowKey, Failure>()
  /** Rows that are owed and not to be written before a time. */
  readonly #postponed = new Map<RowKey, Millis>()
  #desiredCount = 0
  #actualCount = 0
  /** Rows that have changed while a dump was under way, and by whom: it may show them as before or as after that. */
  #changedMeanwhile: Map<RowKey, 'us' | 'others'> | undefined
  readonly desired: RowsByKey<R>
  readonly actual: RowsByKey<R>

  constructor() {
    this.desired = rowsByKey(
      (key) => this.#entries.get(key)?.desired,
      () => this.#desiredCount,
    )
    this.actual = rowsByKey(
      (key) => this.#entries.get(key)?.actual,
      () => this.#actualCount,
    )
  }

  get failures(): ReadonlyMap<RowKey, Failure> {
    return this.#failures
  }
  /** Rows that differ, those that wait for a retry included. */
  get pending(): number {
    return this.#adds.size + this.#removes.size
  }

  want(row: R): void {
    const entry = this.#entryOf(rowKey(row))
    const wanted = entry.desired
    entry.desired = row
    if (!wanted) this.#desiredCount++
    if (!wanted || !sameRow(wanted, row)) this.#settle(entry.key)
    this.#compare(entry)
  }

  /** The row is wanted, and is being written already, outside of {@link takeAdds}. */
  wrote(row: R): void {
    const entry = this.#entryOf(rowKey(row))
    if (!entry.desired) this.#desiredCount++
    entry.desired = row
    this.#believe(entry, row)
    this.#owe(entry, undefined)
    this.#settle(entry.key)
    this.#changedMeanwhile?.set(entry.key, 'us')
  }

  unwant(key: RowKey, inUse = false): void {
    const entry = this.#entries.get(key)
    if (!entry?.desired) return
    entry.desired = undefined
    entry.inUse = inUse
    this.#desiredCount--
    this.#settle(key)
    this.#compare(entry)
  }

  /** Somebody else put the row there. */
  saw(row: R): void {
    const entry = this.#entryOf(rowKey(row))
    this.#believe(entry, row)
    this.#changedMeanwhile?.set(entry.key, 'others')
    this.#compare(entry)
  }

  /** Somebody else took the row away. */
  missed(key: RowKey): void {
    this.#changedMeanwhile?.set(key, 'others')
    const failure = this.#failures.get(key)
    if (failure) this.#failures.set(key, { ...failure, retryAt: Millis.of(0) }) // what went may have been in the way
    const entry = this.#entries.get(key)
    if (!entry?.actual) return
    this.#believe(entry, undefined)
    this.#compare(entry)
  }

  /** A dump begins: from here on until {@link dumped}, what changes is newer than what it may tell. */
  dumping(): void {
    this.#changedMeanwhile = new Map()
  }

  /**
   * The whole truth, from a dump, as of the moment at which each row was read. Our own later writes are believed
   * more; rows that others changed meanwhile are in doubt and written once more.
   */
  dumped(rows: Iterable<R>): void {
    const changed = this.#changedMeanwhile ?? new Map<RowKey, 'us' | 'others'>()
    this.#changedMeanwhile = undefined
    const newer = new Set<RowKey>()
    for (const [key, by] of changed) if (by === 'us' || this.actual.has(key)) newer.add(key)
    for (const entry of this.#entries.values()) if (!newer.has(entry.key)) this.#believe(entry, undefined)
    for (const row of rows) {
      const key = rowKey(row)
      if (!newer.has(key)) this.#believe(this.#entryOf(key), row)
    }
    for (const entry of this.#entries.values()) this.#compare(entry)
    for (const [key, by] of changed) {
      const entry = this.#entries.get(key)
      if (by === 'others' && entry?.desired) this.#owe(entry, this.#adds)
    }
  }

  refused(op: Op, fault: Fault, now: Millis): void {
    const entry = this.#entryOf(rowKey(op.row))
    const { key, desired: wanted } = entry
    this.#changedMeanwhile?.delete(key)
    if (op.verb === 'add') this.#believe(entry, undefined)
    if (op.verb === 'add' && wanted && !sameRow(wanted, op.row)) return this.#compare(entry) // another one is wanted by now
    const earlier = this.#failures.get(key)
    const attempts = (earlier?.attempts ?? 0) + 1
    const retryAt = Millis.add(now, retryAfter(fault, attempts))
    this.#failures.set(key, { fault, since: earlier?.since ?? now, attempts, retryAt })
    if (op.verb === 'remove') this.#believe(entry, op.row as R)
    this.#compare(entry)
  }

  /** The kernel has answered to what was taken, refusals told before: a retry that succeeded ends its failure. */
  answered(key: RowKey): void {
    if (!this.#failures.has(key)) return
    const entry = this.#entries.get(key)
    if (entry) this.#compare(entry)
    else this.#settle(key)
  }

  /** Failures stay on record, but nothing waits because of them. */
  retryNow(): void {
    for (const [key, failure] of this.#failures)
      this.#failures.set(key, { ...failure, retryAt: Millis.of(0) })
  }

  /**
   * Takes at most `limit` rows that are owed and due, and believes from now on that they stand. Unless `mayReplace`,
   * a row that stands with other content is left as it is.
   */
  takeAdds(now: Millis, limit: number, mayReplace = true): Op[] {
    const isDueLater = this.#waits(now)
    const waits = mayReplace
      ? isDueLater
      : (entry: Entry<R>) => (entry.actual && !this.#failures.has(entry.key)) || isDueLater?.(entry) === true
    const ops: Op[] = []
    for (const entry of this.#adds.take(limit, waits)) {
      const { desired: row, actual } = entry
      if (!row) continue
      if (this.#postponed.size > 0) this.#postponed.delete(entry.key)
      this.#changedMeanwhile?.set(entry.key, 'us')
      this.#believe(entry, row)
      ops.push(actual ? { verb: 'add', row, replace: true } : { verb: 'add', row })
    }
    return ops
  }

  /** Takes at most `limit` rows that have to go, and believes from now on that they are gone. */
  takeRemoves(now: Millis, limit: number): Op[] {
    const ops: Op[] = []
    for (const entry of this.#removes.take(limit, this.#waits(now))) {
      const { actual: row } = entry
      if (!row) continue
      if (this.#postponed.size > 0) this.#postponed.delete(entry.key)
      this.#changedMeanwhile?.set(entry.key, 'us')
      this.#believe(entry, undefined)
      this.#entries.delete(entry.key)
      ops.push(entry.inUse ? { verb: 'remove', row, inUse: true } : { verb: 'remove', row })
    }
    return ops
  }

  /** The write that is owed waits until then. */
  postpone(key: RowKey, until: Millis): void {
    this.#postponed.set(key, until)
  }

  /** When the next row that waits is due. */
  nextRetry(): Millis | undefined {
    let next: Millis | undefined
    for (const keys of [this.#failures.keys(), this.#postponed.keys()])
      for (const key of keys) {
        const due = this.#dueAt(key)
        if (this.owes(key) && (next === undefined || due < next)) next = due
      }
    return next
  }

  /** A write of this row is outstanding. */
  owes(key: RowKey): boolean {
    return this.#entries.get(key)?.owed !== undefined
  }

  /** Which entries are due later; nothing where none can be, so that not each has to be asked. */
  #waits(now: Millis): ((entry: Entry<R>) => boolean) | undefined {
    if (this.#failures.size === 0 && this.#postponed.size === 0) return undefined
    return ({ key }) => this.#dueAt(key) > now
  }

  #dueAt(key: RowKey): Millis {
    return Millis.of(Math.max(this.#failures.get(key)?.retryAt ?? 0, this.#postponed.get(key) ?? 0))
  }

  /** Nothing is left of what was refused or put off. */
  #settle(key: RowKey): void {
    if (this.#failures.size > 0) this.#failures.delete(key)
    if (this.#postponed.size > 0) this.#postponed.delete(key)
  }

  #entryOf(key: RowKey): Entry<R> {
    let entry = this.#entries.get(key)
    if (!entry) this.#entries.set(key, (entry = new Entry(key)))
    return entry
  }

  #believe(entry: Entry<R>, row: R | undefined): void {
    if (!entry.actual !== !row) this.#actualCount += row ? 1 : -1
    entry.actual = row
  }

  #owe(entry: Entry<R>, owed: Owed<R> | undefined): void {
    if (entry.owed === owed) return
    entry.owed?.drop(entry)
    owed?.add(entry)
  }

  #compare(entry: Entry<R>): void {
    const { key, desired, actual } = entry
    if (desired) this.#owe(entry, actual && sameRow(desired, actual) ? undefined : this.#adds)
    else this.#owe(entry, actual && this.#removes)
    if (!entry.owed) this.#settle(key)
    if (!desired && !actual) this.#entries.delete(key)
  }
}

/** One side of a table, to be looked at. */
export interface RowsByKey<R> {
  readonly size: number
  has(key: RowKey): boolean
  get(key: RowKey): R | undefined
}

const rowsByKey = <R>(get: (key: RowKey) => R | undefined, size: () => number): RowsByKey<R> => ({
  get,
  has: (key) => get(key) !== undefined,
  get size() {
    return size()
  },
})

/** Transient refusals are tried again soon, the others slowly: their cause is outside and may go away. */
const retryAfter = (fault: Fault, attempts: number): Millis =>
  fault.transient ? Millis.of(Math.min(30_000, 100 * 2 ** (attempts - 1))) : Millis.minutes(1)
