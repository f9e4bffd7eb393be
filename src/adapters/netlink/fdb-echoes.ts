import type { FdbEntry, Op } from '../../core/kernel/rows.ts'
import type { NeighMessage } from './decode.ts'

/** Most writes whose notifications are awaited: some turns of the writer, and identical ones that raise none. */
const MOST = 8192

/**
 * Tells our own FDB writes from other people's: vxlan_core.c (vxlan_fdb_notify) puts no port id on its
 * notifications, unlike the neighbour and route tables.
 *
 * The kernel tells of writes in their order, so what is expected next is nearly always what comes. Those passed over
 * raised no notification (an identical write, or a refused one) and are expected no more. An expectation that is left
 * over hides nothing: the next event of that MAC that differs is reported and ends it, and one that equals it tells
 * what we believe already.
 */
export class FdbEchoes {
  #expected: { readonly verb: Op['verb']; readonly row: FdbEntry }[] = []
  #next = 0

  /** Before the write: its notification is queued by the time that sending returns. */
  wrote(verb: Op['verb'], row: FdbEntry): void {
    if (this.#expected.length - this.#next >= MOST) this.#next++
    if (this.#next >= MOST) this.#forgetUpTo(this.#next)
    this.#expected.push({ verb, row })
  }

  /** Whether this notification is about a write of ours. */
  recognise(verb: Op['verb'], { mac, dst, link }: NeighMessage): boolean {
    for (let i = this.#next; i < this.#expected.length; i++) {
      const one = this.#expected[i]
      if (!one || one.row.mac !== mac || one.row.vtep !== dst || one.row.link !== link || one.verb !== verb)
        continue
      this.#next = i + 1
      if (this.#next === this.#expected.length) this.#forgetUpTo(this.#next)
      return true
    }
    this.#expected = this.#expected.filter(({ row }, i) => i >= this.#next && row.mac !== mac)
    this.#next = 0
    return false
  }

  #forgetUpTo(next: number): void {
    this.#expected = this.#expected.slice(next)
    this.#next = 0
  }
}
