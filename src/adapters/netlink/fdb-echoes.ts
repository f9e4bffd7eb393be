import { type FdbEntry, type Op, sameRow } from '../../core/kernel/rows.ts'
import type { Mac } from '../../core/net/mac.ts'

/**
 * Tells our own FDB writes from other people's: vxlan_core.c (vxlan_fdb_notify) puts no port id on its
 * notifications, unlike the neighbour and route tables.
 *
 * Only the last write of each MAC is remembered. An expectation that is left over (an identical write raises no
 * notification) hides nothing: the next event of that MAC that differs from it is reported and ends it, and one
 * that equals it tells what we believe already.
 */
export class FdbEchoes {
  readonly #lastByMac = new Map<Mac, Op>()

  /** Before the write: its notification is queued by the time that sending returns. */
  wrote(op: Op): void {
    if (op.row.kind === 'fdb') this.#lastByMac.set(op.row.mac, op)
  }

  /** Whether this notification is about a write of ours. */
  recognise(verb: Op['verb'], row: FdbEntry): boolean {
    const last = this.#lastByMac.get(row.mac)
    if (!last) return false
    this.#lastByMac.delete(row.mac)
    return last.verb === verb && sameRow(last.row, row)
  }
}
