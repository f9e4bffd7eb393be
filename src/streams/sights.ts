import { auditTime, combineLatest, filter, interval, map, merge, type Observable, of } from 'rxjs'
import type { Fault } from '../core/fault.ts'
import type { Ip } from '../core/net/ip.ts'
import type { UnderlayChoice } from '../core/overlay/underlay.ts'
import type { Interfaces, KernelEvent } from '../ports/kernel.ts'
import { retryTold } from './operators/retry-told.ts'
import { runLatest } from './operators/run-latest.ts'
import type { World } from './world.ts'

/** The interfaces of this host as they were when looked at. */
export type Sight =
  | { readonly kind: 'seen'; readonly interfaces: Interfaces; readonly reach: UnderlayChoice['reach'] }
  | { readonly kind: 'none'; readonly fault: Fault }

interface Options {
  /** `--iface-can-reach` */
  readonly canReach: Ip | undefined
  /** A reason of the one who looks. */
  readonly again$: Observable<unknown>
  /** How often they are looked at although nothing happened: a policy rule, for one, changes in silence. */
  readonly resyncMs: number
}

/** A change of address is two notifications, a network manager's a dozen. */
const burstMs = 150

/** The interfaces now and after everything that may have changed them. */
export const sights$ = (
  { kernel, clock }: Pick<World, 'kernel' | 'clock'>,
  { canReach, again$, resyncMs }: Options,
): Observable<Sight> => {
  const moved$ = kernel.events$.pipe(filter(mayMoveUnderlay), auditTime(burstMs))
  return merge(of(undefined), moved$, again$, interval(resyncMs)).pipe(
    runLatest(() => {
      const reach$ = canReach === undefined ? of(undefined) : kernel.routeTo$(canReach)
      return combineLatest([kernel.interfaces$(), reach$]).pipe(
        map(([interfaces, reach]): Sight => ({ kind: 'seen', interfaces, reach })),
        retryTold<Sight>({
          baseMs: 200,
          capMs: 5000,
          random: () => clock.random(),
          tell: (fault) => ({ kind: 'none', fault }),
        }),
      )
    }),
  )
}

const mayMoveUnderlay = ({ kind }: KernelEvent): boolean =>
  kind === 'link' || kind === 'address' || kind === 'routes' || kind === 'overrun'
