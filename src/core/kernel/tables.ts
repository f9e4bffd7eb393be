import type { Fault } from '../fault.ts'
import type { Millis } from '../time.ts'
import type { FdbEntry, Neighbour, Op, Route, Row } from './rows.ts'
import { rowKey } from './rows.ts'
import { Tracker } from './tracker.ts'

/** The three tables of one VXLAN device, and the order in which they may change. */
export class Tables {
  readonly fdb = new Tracker<FdbEntry>()
  readonly neighbours = new Tracker<Neighbour>()
  readonly routes = new Tracker<Route>()
  readonly #all = [this.fdb, this.neighbours, this.routes] as const

  want(row: Row): void {
    switch (row.kind) {
      case 'fdb':
        return this.fdb.want(row)
      case 'neighbour':
        return this.neighbours.want(row)
      case 'route':
        return this.routes.want(row)
    }
  }

  /** The row is wanted, and is being written already, outside of {@link take}. */
  wrote(row: FdbEntry | Neighbour): void {
    if (row.kind === 'fdb') this.fdb.wrote(row)
    else this.neighbours.wrote(row)
  }

  saw(row: Row): void {
    switch (row.kind) {
      case 'fdb':
        return this.fdb.saw(row)
      case 'neighbour':
        return this.neighbours.saw(row)
      case 'route':
        return this.routes.saw(row)
    }
  }

  unwant(row: Row): void {
    this.of(row).unwant(rowKey(row))
  }

  /** Packets may be finding the row when it is removed: no row before it has led them elsewhere. */
  unwantInUse(row: Neighbour): void {
    this.neighbours.unwant(rowKey(row), true)
  }

  /** Somebody else's change; whether a write of that row is outstanding now. */
  edited(verb: Op['verb'], row: Row): boolean {
    if (verb === 'add') this.saw(row)
    else this.missed(row)
    return this.owes(row)
  }

  /** A write of this row is outstanding. */
  owes(row: Row): boolean {
    return this.of(row).owes(rowKey(row))
  }

  missed(row: Row): void {
    this.of(row).missed(rowKey(row))
  }

  refused(op: Op, fault: Fault, now: Millis): void {
    this.of(op.row).refused(op, fault, now)
  }

  /** What was refused is owed again without delay. */
  retryNow(): void {
    for (const table of this.#all) table.retryNow()
  }

  answered(op: Op): void {
    this.of(op.row).answered(rowKey(op.row))
  }

  dumping(): void {
    for (const table of this.#all) table.dumping()
  }

  dumped(rows: Iterable<Row>): void {
    const fdb: FdbEntry[] = []
    const neighbours: Neighbour[] = []
    const routes: Route[] = []
    for (const row of rows)
      if (row.kind === 'fdb') fdb.push(row)
      else if (row.kind === 'neighbour') neighbours.push(row)
      else routes.push(row)
    this.fdb.dumped(fdb)
    this.neighbours.dumped(neighbours)
    this.routes.dumped(routes)
  }

  /**
   * The next operations that are owed, at most `limit`, in an order in which no packet is ever sent to a next hop
   * that can't be reached yet, and no neighbour answers before its MAC has a way: add FDB, neighbour, route; then
   * remove route, neighbour, FDB. Adding before removing means that a moved peer is never without a way.
   *
   * Of one table alone is removed at a time: a packet that has just found a route needs its neighbour, and then its
   * FDB entry, a moment later. Nothing follows the removals either, so the next call goes on with the next table.
   *
   * Take no more than is written at once: what is taken and waits could undo what a miss writes meanwhile.
   *
   * Without `prune` what stands is neither removed nor replaced: etcd has not spoken, and the kernel, which the agent
   * before this one wrote, is newer than the disk.
   */
  take(now: Millis, options: { readonly limit: number; readonly prune: boolean }): readonly Op[] {
    const ops: Op[] = []
    const room = (): number => options.limit - ops.length
    for (const table of this.#all) ops.push(...table.takeAdds(now, room(), options.prune))
    if (options.prune)
      for (const table of this.#all.toReversed()) {
        const removes = table.takeRemoves(now, room())
        if (removes.length > 0) return [...ops, ...removes]
      }
    return ops
  }

  get pending(): number {
    return this.#all.reduce((sum, table) => sum + table.pending, 0)
  }

  nextRetry(): Millis | undefined {
    const due = this.#all.map((table) => table.nextRetry()).filter((at) => at !== undefined)
    return due.length === 0 ? undefined : due.reduce((a, b) => (b < a ? b : a))
  }

  of(row: Row): Tracker<FdbEntry> | Tracker<Neighbour> | Tracker<Route> {
    switch (row.kind) {
      case 'fdb':
        return this.fdb
      case 'neighbour':
        return this.neighbours
      case 'route':
        return this.routes
    }
  }
}
