import type { Millis } from './time.ts'

/** A global limit on answers: `rate` tokens a second, at most `burst` saved up. */
export class TokenBucket {
  readonly #ratePerMs: number
  readonly #burst: number
  #tokens: number
  #at: Millis | undefined

  constructor(options: { readonly ratePerSecond: number; readonly burst: number }) {
    this.#ratePerMs = options.ratePerSecond / 1000
    this.#burst = options.burst
    this.#tokens = options.burst
  }

  take(now: Millis): boolean {
    this.#tokens = Math.min(this.#burst, this.#tokens + (now - (this.#at ?? now)) * this.#ratePerMs)
    this.#at = now
    if (this.#tokens < 1) return false
    this.#tokens -= 1
    return true
  }
}
