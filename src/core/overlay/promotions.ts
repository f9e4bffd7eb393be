import { Millis } from '../time.ts'

/** So long after a question the kernel is taken to have no more of them for now. */
const calm = Millis.of(1)

/** While questions never cease a few hosts are promoted all the same, every so often. */
const patience = Millis.of(100)

/**
 * Hosts that have been asked for, in that order, and wait for the rows that the answer did without: neighbour and
 * route. For each route the kernel looks at all that stand on the device (fib_semantics.c: fib_find_info), so that
 * they would keep the next question waiting: the questions come first, and the rows when there are none.
 */
export class Promotions<Host> {
  readonly #waiting = new Set<Host>()
  #askedAt = Millis.of(-Infinity)
  /** The last turn of those that wait, or the beginning of their waiting. */
  #since = Millis.of(-Infinity)

  clear(): void {
    this.#waiting.clear()
  }

  /** A question was answered. */
  asked(now: Millis): void {
    this.#askedAt = now
  }

  add(host: Host, now: Millis): void {
    if (this.#waiting.size === 0) this.#since = now
    this.#waiting.add(host)
  }

  has(host: Host): boolean {
    return this.#waiting.has(host)
  }

  delete(host: Host): void {
    this.#waiting.delete(host)
  }

  nextDeadline(): Millis | undefined {
    if (this.#waiting.size === 0) return undefined
    return Millis.of(Math.min(this.#askedAt + calm, this.#since + patience))
  }

  /** Takes out those whose turn it is, at most so many. */
  take(now: Millis, most: number): readonly Host[] {
    if ((this.nextDeadline() ?? Infinity) > now) return []
    this.#since = now
    const taken: Host[] = []
    for (const host of this.#waiting) {
      if (taken.length >= most) break
      taken.push(host)
      this.#waiting.delete(host)
    }
    return taken
  }
}
