import { Millis } from '../time.ts'

/**
 * The hosts in use, in `on-miss` resolution: only these have rows in the kernel. Bounded: at the bound the least
 * recently used goes, and its next packet is simply a miss again.
 */
export class ActiveHosts {
  readonly #lastUsed = new Map<string, Millis>()
  readonly #bound: number

  constructor(bound: number) {
    this.#bound = bound
  }

  get size(): number {
    return this.#lastUsed.size
  }
  has(key: string): boolean {
    return this.#lastUsed.has(key)
  }
  keys(): Iterable<string> {
    return this.#lastUsed.keys()
  }
  forget(key: string): void {
    this.#lastUsed.delete(key)
  }

  /** Notes a use; returns the host that has to make room, if any. */
  use(key: string, at: Millis): string | undefined {
    const evicted = this.has(key) || this.size < this.#bound ? undefined : this.#leastRecentlyUsed()
    if (evicted !== undefined) this.#lastUsed.delete(evicted)
    this.#lastUsed.set(key, Millis.of(Math.max(at, this.#lastUsed.get(key) ?? at)))
    return evicted
  }

  /** Forgets and returns the hosts that nobody has used since `before`. */
  expire(before: Millis): readonly string[] {
    const idle = [...this.#lastUsed].filter(([, at]) => at < before).map(([key]) => key)
    for (const key of idle) this.#lastUsed.delete(key)
    return idle
  }

  #leastRecentlyUsed(): string | undefined {
    let oldest: readonly [string, Millis] | undefined
    for (const entry of this.#lastUsed) if (!oldest || entry[1] < oldest[1]) oldest = entry
    return oldest?.[0]
  }
}
