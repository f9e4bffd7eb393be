import { type MonoTypeOperatorFunction, ReplaySubject, share } from 'rxjs'

/** One subscription for everybody, the last value for newcomers; over when the last one leaves. */
export const shareLatest = <T>(): MonoTypeOperatorFunction<T> =>
  share({
    connector: () => new ReplaySubject<T>(1),
    resetOnRefCountZero: true,
    resetOnComplete: true,
    resetOnError: true,
  })
