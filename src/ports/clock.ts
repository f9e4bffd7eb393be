import type { Millis } from '../core/time.ts'

export interface Clock {
  /** Monotonic: steps of the wall clock don't show. */
  now(): Millis
  /** From 0 up to, not including, 1. */
  random(): number
}
