import {
  catchError,
  defer,
  from,
  retry,
  switchMap,
  tap,
  throwError,
  timer,
  type MonoTypeOperatorFunction,
  type Observable,
} from 'rxjs'
import { decorrelatedJitter } from './backoff.ts'
import type { EndpointPool } from './endpoint-pool.ts'
import type { Endpoint } from './endpoint.ts'
import { isStaleToken, isWorthRetrying, toFault, withPermission } from './faults.ts'

/** Makes the request at one endpoint; `attempt` counts from 0. */
export type Request<T> = (endpoint: Endpoint, attempt: number) => Promise<T> | Observable<T>

/**
 * One request, tried again at the next endpoint while the fault is transient. What is sent through here must
 * bear being carried out twice: the answer may be what was lost. Errors with a Fault.
 */
export const request$ = <T>(
  pool: EndpointPool,
  request: Request<T>,
  retries = Math.max(3, pool.size), // every member gets its chance
): Observable<T> =>
  defer(() => {
    const backoff = decorrelatedJitter(100, 2000)
    let attempt = 0
    return pool.turn$.pipe(
      switchMap((endpoint) =>
        from(endpoint.ready()).pipe(
          switchMap(() => endpoint.run(() => request(endpoint, attempt++))),
          tap(() => pool.succeed(endpoint)),
          catchError((error: unknown) => throwError(() => pool.fail(endpoint, error))),
        ),
      ),
      retry({
        delay: (error: unknown, failures) => {
          const fault = toFault(error)
          // After minutes of silence the token has expired, which is nothing to tell anybody.
          if (failures === 1 && isStaleToken(fault)) return timer(0)
          const again = failures <= retries && isWorthRetrying(fault)
          return again ? timer(backoff.next()) : throwError(() => fault)
        },
      }),
    )
  })

/** etcd says "permission denied" and no more; what the user would need is known to whoever asked. */
export const needs = <T>(permission: string): MonoTypeOperatorFunction<T> =>
  catchError((error: unknown) => throwError(() => withPermission(toFault(error), permission)))
