import {
  auditTime,
  catchError,
  concat,
  concatMap,
  EMPTY,
  filter,
  merge,
  type Observable,
  of,
  tap,
  throwError,
} from 'rxjs'
import { Fault } from '../core/fault.ts'
import type { Forwarding } from '../core/forwarding.ts'
import type { Clock } from '../ports/clock.ts'
import type { Kernel, KernelEvent } from '../ports/kernel.ts'
import { runLatest } from './operators/run-latest.ts'

/** A change of the underlay comes as several notifications. */
const burstMs = 20

/**
 * Asks the kernel which hosts are on a link of ours, and so need no tunnel: the new ones after each `changed$`, all of
 * them again when routes, addresses or devices have changed. Emits what was learned; what could not be asked is told,
 * and keeps what it had, or is tunnelled to.
 */
export const reach$ = (options: {
  readonly kernel: Kernel
  readonly clock: Pick<Clock, 'now'>
  readonly forwarding: Forwarding
  readonly changed$: Observable<unknown>
}): Observable<'learned' | Fault> => {
  const { kernel, clock, forwarding, changed$ } = options
  let which: 'all' | 'new' = 'new'
  const moved$ = kernel.events$.pipe(
    filter(mayMoveHosts),
    auditTime(burstMs),
    tap(() => (which = 'all')),
  )
  return merge(changed$, moved$).pipe(
    runLatest(() => {
      const ips = forwarding.toAsk(which)
      which = 'new'
      if (ips.length === 0) return EMPTY
      const learn$ = (answers: Parameters<Forwarding['reached']>[0]): Observable<'learned'> => {
        forwarding.reached(answers, clock.now())
        return of('learned')
      }
      return kernel.nextHops$(ips).pipe(
        concatMap(learn$),
        catchError((error: unknown) => {
          if (!Fault.is(error)) return throwError(() => error)
          return concat(of(error), learn$(new Map(ips.map((ip) => [ip, undefined]))))
        }),
      )
    }),
  )
}

function mayMoveHosts({ kind }: KernelEvent): boolean {
  return kind === 'routes' || kind === 'address' || kind === 'link' || kind === 'overrun'
}
