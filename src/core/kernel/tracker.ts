import type { Fault } from '../fault.ts'
import { Millis } from '../time.ts'
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
  readonly #desired = new Map<RowKey, R>()
  readonly #actual = new Map<RowKey, R>()
  readonly #owedAdds = new Set<RowKey>()
  readonly #owedRemoves = new Set<RowKey>()
  readonly #failures = new Map<RowKey, Failure>()
  /** Rows that are owed and not to be written before a time. */
  readonly #postponed = new Map<RowKey, Millis>()
  /** Rows that have changed while a dump was under way, and by whom: it may show them as before or as after that. */
  #changedMeanwhile: Map<RowKey, 'us' | 'others'> | undefined

  get desired(): ReadonlyMap<RowKey, R> {
    return this.#desired
  }
  get actual(): ReadonlyMap<RowKey, R> {
    return this.#actual
  }
  get failures(): ReadonlyMap<RowKey, Failure> {
    return this.#failures
  }
  /** Rows that differ, those that wait for a retry included. */
  get pending(): number {
    return this.#owedAdds.size + this.#owedRemoves.size
  }

  want(row: R): void {
    const key = rowKey(row)
    const wanted = this.#desired.get(key)
    this.#desired.set(key, row)
    if (!wanted || !sameRow(wanted, row)) this.#settle(key)
    this.#compare(key)
  }

  unwant(key: RowKey): void {
    if (!this.#desired.delete(key)) return
    this.#settle(key)
    this.#compare(key)
  }

  /** The row is wanted, and is being written already, outside of {@link takeAdds}. */
  wrote(row: R): void {
    const key = rowKey(row)
    this.#desired.set(key, row)
    this.#actual.set(key, row)
    this.#owedAdds.delete(key)
    this.#owedRemoves.delete(key)
    this.#settle(key)
    this.#changedMeanwhile?.set(key, 'us')
  }

  /** Somebody else put the row there. */
  saw(row: R): void {
    const key = rowKey(row)
    this.#actual.set(key, row)
    this.#changedMeanwhile?.set(key, 'others')
    this.#compare(key)
  }

  /** Somebody else took the row away. */
  missed(key: RowKey): void {
    this.#changedMeanwhile?.set(key, 'others')
    const failure = this.#failures.get(key)
    if (failure) this.#failures.set(key, { ...failure, retryAt: Millis.of(0) }) // what went may have been in the way
    if (this.#actual.delete(key)) this.#compare(key)
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
    const written = [...changed].flatMap(([key, by]) => {
      const row = this.#actual.get(key)
      return by === 'us' || row ? [[key, row] as const] : []
    })
    this.#actual.clear()
    for (const row of rows) this.#actual.set(rowKey(row), row)
    for (const [key, row] of written)
      if (row) this.#actual.set(key, row)
      else this.#actual.delete(key)
    this.#owedAdds.clear()
    this.#owedRemoves.clear()
    for (const key of this.#desired.keys()) this.#compare(key)
    for (const key of this.#actual.keys()) this.#compare(key)
    for (const [key, by] of changed) if (by === 'others' && this.#desired.has(key)) this.#owedAdds.add(key)
  }

  refused(op: Op, fault: Fault, now: Millis): void {
    const key = rowKey(op.row)
    const wanted = this.#desired.get(key)
    this.#changedMeanwhile?.delete(key)
    if (op.verb === 'add') this.#actual.delete(key)
    if (op.verb === 'add' && wanted && !sameRow(wanted, op.row)) return this.#compare(key) // another one is wanted by now
    const earlier = this.#failures.get(key)
    const attempts = (earlier?.attempts ?? 0) + 1
    const retryAt = Millis.add(now, retryAfter(fault, attempts))
    this.#failures.set(key, { fault, since: earlier?.since ?? now, attempts, retryAt })
    if (op.verb === 'remove') this.#actual.set(key, op.row as R)
    this.#compare(key)
  }

  /** The kernel has answered to what was taken, refusals told before: a retry that succeeded ends its failure. */
  answered(key: RowKey): void {
    if (this.#failures.has(key)) this.#compare(key)
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
    const waits = (key: RowKey): boolean => !mayReplace && this.#actual.has(key) && !this.#failures.has(key)
    return this.#take(this.#owedAdds, { now, limit, waits }, (key) => {
      const row = this.#desired.get(key)
      if (!row) return undefined
      const replace = this.#actual.has(key)
      this.#actual.set(key, row)
      return replace ? { verb: 'add', row, replace } : { verb: 'add', row }
    })
  }

  /** Takes at most `limit` rows that have to go, and believes from now on that they are gone. */
  takeRemoves(now: Millis, limit: number): Op[] {
    return this.#take(this.#owedRemoves, { now, limit }, (key) => {
      const row = this.#actual.get(key)
      this.#actual.delete(key)
      return row && { verb: 'remove', row }
    })
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
    return this.#owedAdds.has(key) || this.#owedRemoves.has(key)
  }

  #take(
    owed: Set<RowKey>,
    bounds: { now: Millis; limit: number; waits?: (key: RowKey) => boolean },
    opFor: (key: RowKey) => Op | undefined,
  ): Op[] {
    const ops: Op[] = []
    for (const key of owed) {
      if (ops.length >= bounds.limit) break
      if (this.#dueAt(key) > bounds.now || bounds.waits?.(key)) continue
      owed.delete(key)
      this.#postponed.delete(key)
      this.#changedMeanwhile?.set(key, 'us')
      const op = opFor(key)
      if (op) ops.push(op)
    }
    return ops
  }

  #dueAt(key: RowKey): Millis {
    return Millis.of(Math.max(this.#failures.get(key)?.retryAt ?? 0, this.#postponed.get(key) ?? 0))
  }

  /** Nothing is left of what was refused or put off. */
  #settle(key: RowKey): void {
    this.#failures.delete(key)
    this.#postponed.delete(key)
  }

  #compare(key: RowKey): void {
    const wanted = this.#desired.get(key)
    const there = this.#actual.get(key)
    this.#owedAdds.delete(key)
    this.#owedRemoves.delete(key)
    if (wanted ? there && sameRow(wanted, there) : !there) this.#settle(key)
    else (wanted ? this.#owedAdds : this.#owedRemoves).add(key)
  }
}

/** Transient refusals are tried again soon, the others slowly: their cause is outside and may go away. */
const retryAfter = (fault: Fault, attempts: number): Millis =>
  fault.transient ? Millis.of(Math.min(30_000, 100 * 2 ** (attempts - 1))) : Millis.minutes(1)
