/** Pauses between attempts. */
export interface Backoff {
  /** Milliseconds until the next attempt. */
  next(): number
  /** The last attempt was good: begin anew. */
  reset(): void
}

/**
 * Decorrelated jitter: each pause is drawn between the base and three times the last one. Agents that lost
 * etcd in the same instant spread out within a few attempts, which doubling with a little noise does not do.
 */
export const decorrelatedJitter = (baseMs: number, capMs: number, random = Math.random): Backoff => {
  let last = baseMs
  return {
    next: () => (last = Math.min(capMs, baseMs + random() * (last * 3 - baseMs))),
    reset: () => void (last = baseMs),
  }
}
