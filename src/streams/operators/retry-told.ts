import { type MonoTypeOperatorFunction, Observable } from 'rxjs'
import { Fault } from '../../core/fault.ts'
import { retryBackoff } from './retry-backoff.ts'

export interface ToldBackoff<T> {
  readonly baseMs: number
  readonly capMs: number
  readonly random: () => number
  /** The value that tells of a failed try; the loop goes on. */
  readonly tell: (fault: Fault) => T
}

/** Retries after every {@link Fault}, transient or not, and emits each as a value; any other error is a bug and ends the stream. */
export const retryTold =
  <T>({ baseMs, capMs, random, tell }: ToldBackoff<T>): MonoTypeOperatorFunction<T> =>
  (source$) =>
    new Observable((out) =>
      source$
        .pipe(
          retryBackoff({
            baseMs,
            capMs,
            random,
            retries: Fault.is,
            onRetry: (error) => {
              if (Fault.is(error)) out.next(tell(error))
            },
          }),
        )
        .subscribe(out),
    )
