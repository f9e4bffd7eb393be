import { Millis } from '../time.ts'

/**
 * The hosts in use, in `on-miss` resolution: only these have rows in the kernel. Bounded: at the bound the least
 * recently used goes, and its next packet is simply a miss again.
 */
export class ActiveHosts {
  /** The least recently used first: a map keeps the order in which its keys were set. */
  #lastUsed = new Map<string, Millis>()
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

  /** Notes a use now; returns the host that has to make room, if any. */
  use(key: string, now: Millis): string | undefined {
    const isKnown = this.#lastUsed.delete(key)
    const evicted = isKnown || this.size < this.#bound ? undefined : this.#lastUsed.keys().next().value
    if (evicted !== undefined) this.#lastUsed.delete(evicted)
    this.#lastUsed.set(key, now)
    return evicted
  }

  /** Later uses of known hosts than we know of ourselves. */
  learn(usedAt: ReadonlyMap<string, Millis>): void {
    const news = [...usedAt].filter(([key, at]) => at > (this.#lastUsed.get(key) ?? Infinity))
    if (news.length === 0) return
    for (const [key, at] of news) this.#lastUsed.set(key, at)
    this.#lastUsed = new Map([...this.#lastUsed].sort(([, a], [, b]) => a - b))
  }

  /** Forgets and returns the hosts that nobody has used since `before`. */
  expire(before: Millis): readonly string[] {
    const idle: string[] = []
    for (const [key, at] of this.#lastUsed) {
      if (at >= before) break
      idle.push(key)
    }
    for (const key of idle) this.#lastUsed.delete(key)
    return idle
  }
}
