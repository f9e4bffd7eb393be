import { type MonoTypeOperatorFunction, retry, throwError, timer } from 'rxjs'

export interface Backoff {
  readonly baseMs: number
  readonly capMs: number
  /** From 0 up to 1; spreads the hosts of a cluster. */
  readonly random: () => number
  /** Errors that another try may mend; the others pass through. */
  readonly retries: (error: unknown) => boolean
  readonly onRetry?: (error: unknown, delayMs: number) => void
}

/** Resubscribes after a transient error, after a decorrelated-jitter delay; a value starts the delays over. */
export const retryBackoff = <T>(backoff: Backoff): MonoTypeOperatorFunction<T> => {
  let delayMs = backoff.baseMs
  return retry<T>({
    resetOnSuccess: true,
    delay: (error: unknown, attempt) => {
      if (!backoff.retries(error)) return throwError(() => error)
      if (attempt === 1) delayMs = backoff.baseMs
      else
        delayMs = Math.min(backoff.capMs, backoff.baseMs + backoff.random() * (3 * delayMs - backoff.baseMs))
      backoff.onRetry?.(error, delayMs)
      return timer(delayMs)
    },
  })
}
