import type { RowKey } from './rows.ts'

/** A row's place in a table: what should stand there, what is believed to, and where a write of it is queued. */
export class Entry<R> {
  readonly key: RowKey
  desired: R | undefined = undefined
  actual: R | undefined = undefined
  owed: Owed<R> | undefined = undefined
  /** Packets may be finding the row when it is removed. */
  inUse = false

  constructor(key: RowKey) {
    this.key = key
  }
}

/**
 * Entries in the order in which they came to be owed. An array and no Set: taking thousands of rows is one look at
 * each, where hashing their keys four times over was most of the cost. An entry that is owed no more leaves its slot
 * behind, to be passed over.
 */
export class Owed<R> {
  #slots: Entry<R>[] = []
  #next = 0
  #size = 0

  get size(): number {
    return this.#size
  }

  add(entry: Entry<R>): void {
    entry.owed = this
    this.#size++
    this.#slots.push(entry)
    if (this.#slots.length > 2 * this.#size + 1024) this.#sweep()
  }

  drop(entry: Entry<R>): void {
    entry.owed = undefined
    this.#size--
  }

  /** Takes at most `limit` of those that need not wait; the others keep their turn. */
  take(limit: number, waits: ((entry: Entry<R>) => boolean) | undefined): Entry<R>[] {
    const taken: Entry<R>[] = []
    const waiting: Entry<R>[] = []
    for (; this.#next < this.#slots.length && taken.length < limit; this.#next++) {
      const entry = this.#slots[this.#next]
      if (entry?.owed !== this) continue
      if (waits?.(entry)) {
        waiting.push(entry)
        continue
      }
      this.drop(entry)
      taken.push(entry)
    }
    if (waiting.length > 0 || this.#next === this.#slots.length) {
      this.#slots = [...waiting, ...this.#slots.slice(this.#next)]
      this.#next = 0
    }
    return taken
  }

  /** Most slots are left over, or behind us. */
  #sweep(): void {
    this.#slots = [...new Set(this.#slots.slice(this.#next))].filter((entry) => entry.owed === this)
    this.#next = 0
  }
}
