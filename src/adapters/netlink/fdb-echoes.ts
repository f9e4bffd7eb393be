import { AF_BRIDGE, NDA, NUD } from './wire.ts'

/** Most writes whose notifications are awaited: some turns of the writer, and identical ones that raise none. */
const MOST = 8192
/** Verb, link, two words of MAC, and the VTEP's address in one word or four. */
const SLOT_WORDS = 8

/** Words of a neighbour message of AF_BRIDGE, which we and vxlan_core.c (vxlan_fdb_info) lay out alike. */
const AT = { type: 1, family: 4, link: 5, state: 6, mac: 8, dst: 10 } as const

/**
 * Tells our own FDB writes from other people's: vxlan_core.c (vxlan_fdb_notify) puts no port id on its
 * notifications, unlike the neighbour and route tables.
 *
 * The kernel tells of writes in their order, so what is expected next is nearly always what comes, and is compared
 * word by word. Those passed over raised no notification (an identical write, or a refused one) and are expected no
 * more. An expectation that is left over hides nothing: the next event of that MAC that differs is reported and ends
 * it, and one that equals it tells what we believe already.
 */
export class FdbEchoes {
  /** A ring: the expected are from `#first` to before `#end`, both counted without end. */
  readonly #slots = new Int32Array(MOST * SLOT_WORDS)
  readonly #told = new Int32Array(SLOT_WORDS)
  #first = 0
  #end = 0

  /** The FDB message at word `at` is about to be sent: its notification is queued by the time that sending returns. */
  wrote(w: Int32Array, at: number): void {
    if (this.#end - this.#first === MOST) this.#first++
    read(w, at, this.#slots, (this.#end % MOST) * SLOT_WORDS)
    this.#end++
  }

  /** Whether the notification at word `at` is about a write of ours. */
  recognise(w: Int32Array, at: number): boolean {
    const told = this.#told
    if (w[at + AT.family] !== AF_BRIDGE || this.#first === this.#end || !isPlain(w, at)) return false
    read(w, at, told, 0)
    for (let i = this.#first; i < this.#end; i++) {
      const slot = (i % MOST) * SLOT_WORDS
      if (!this.#equal(slot, 0, SLOT_WORDS)) continue
      this.#first = i + 1
      return true
    }
    return false
  }

  /** Somebody else changed the entry of this message's MAC: what we wrote there before is no longer expected. */
  forget(w: Int32Array, at: number): void {
    if (w[at + AT.family] !== AF_BRIDGE) return
    read(w, at, this.#told, 0)
    for (let i = this.#first; i < this.#end; i++) {
      const slot = (i % MOST) * SLOT_WORDS
      if (this.#equal(slot, 2, 4)) this.#slots.fill(0, slot, slot + SLOT_WORDS)
    }
  }

  #equal(slot: number, from: number, to: number): boolean {
    for (let i = from; i < to; i++) if (this.#slots[slot + i] !== this.#told[i]) return false
    return true
  }
}

/** A way like those that we write: permanent, to an address, with nothing of its own behind it but time stamps. */
function isPlain(w: Int32Array, at: number): boolean {
  const words = ((w[at + AT.dst] ?? 0) & 0xffff) >> 2
  const isDst = (w[at + AT.dst] ?? 0) >>> 16 === NDA.dst
  const next = (w[at + AT.dst + words] ?? 0) >>> 16
  return isDst && next === NDA.cacheinfo && ((w[at + AT.state] ?? 0) & NUD.permanent) !== 0
}

function read(w: Int32Array, at: number, to: Int32Array, slot: number): void {
  to[slot] = (w[at + AT.type] ?? 0) & 0xffff
  to[slot + 1] = w[at + AT.link] ?? 0
  to[slot + 2] = w[at + AT.mac] ?? 0
  to[slot + 3] = w[at + AT.mac + 1] ?? 0
  const isIpv6 = ((w[at + AT.dst] ?? 0) & 0xffff) === 20
  to[slot + 4] = w[at + AT.dst + 1] ?? 0
  to[slot + 5] = isIpv6 ? (w[at + AT.dst + 2] ?? 0) : 0
  to[slot + 6] = isIpv6 ? (w[at + AT.dst + 3] ?? 0) : 0
  to[slot + 7] = isIpv6 ? (w[at + AT.dst + 4] ?? 0) : 0
}
