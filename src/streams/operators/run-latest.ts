import { Observable, type OperatorFunction, Subscription } from 'rxjs'

/** One job at a time; of the values that arrive meanwhile only the newest gets the next. An error ends all. */
export const runLatest =
  <T, R>(job: (value: T) => Observable<R>): OperatorFunction<T, R> =>
  (source$) =>
    new Observable((out) => {
      let waiting: { readonly value: T } | undefined
      let busy = false
      let sourceDone = false
      const all = new Subscription()

      const runWaiting = (): void => {
        while (!busy && waiting && !out.closed) {
          const { value } = waiting
          waiting = undefined
          busy = true
          const running = job(value).subscribe({
            next: (result) => out.next(result),
            error: (error: unknown) => out.error(error),
            complete: () => {
              busy = false
              runWaiting()
            },
          })
          all.add(running)
          running.add(() => all.remove(running))
        }
        if (!busy && sourceDone) out.complete()
      }

      all.add(
        source$.subscribe({
          next: (value) => {
            waiting = { value }
            runWaiting()
          },
          error: (error: unknown) => out.error(error),
          complete: () => {
            sourceDone = true
            runWaiting()
          },
        }),
      )
      return all
    })
