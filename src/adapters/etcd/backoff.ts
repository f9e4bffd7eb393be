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

/**
 * Doubling, each pause drawn between half of it and all of it. Decorrelated jitter falls back to its base now and
 * then, and so asks every 0.6 s on average, whatever its cap; this one settles between half the cap and the cap.
 */
export const doublingJitter = (baseMs: number, capMs: number, random = Math.random): Backoff => {
  let step = baseMs
  return {
    next: () => {
      step = Math.min(capMs, step * 2)
      return step * (0.5 + 0.5 * random())
    },
    reset: () => void (step = baseMs),
  }
}
