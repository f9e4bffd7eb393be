import { distinctUntilChanged, filter, map, merge, type Observable, of, switchMap } from 'rxjs'
import type { Fault } from '../core/fault.ts'
import type { EnsuredLink, VxlanSpec } from '../core/kernel/link.ts'
import type { Family } from '../core/net/ip.ts'
import type { Kernel, KernelEvent } from '../ports/kernel.ts'
import { retryTold } from './operators/retry-told.ts'
import { runLatest } from './operators/run-latest.ts'
import { sameAs } from './operators/same-as.ts'
import { shareLatest } from './operators/share-latest.ts'

/** Of one family's device. */
export type DeviceState =
  | { readonly kind: 'ready'; readonly family: Family; readonly spec: VxlanSpec; readonly link: EnsuredLink }
  | { readonly kind: 'failed'; readonly family: Family; readonly spec: VxlanSpec; readonly fault: Fault }
  /** None is wanted: the network lacks the family, or has no tunnel. */
  | { readonly kind: 'none'; readonly family: Family }

interface Options {
  readonly kernel: Kernel
  readonly specs$: Observable<readonly VxlanSpec[]>
  readonly random: () => number
}

/**
 * Keeps the VXLAN devices as wanted, whatever anybody does to them. Emits after every look, even when nothing had to
 * be done: a device that went down and up again has lost its neighbours and routes, so the tables are in doubt.
 */
export const devices$ = (options: Options): Observable<DeviceState> =>
  merge(device$(4, options).pipe(shareLatest()), device$(6, options).pipe(shareLatest()))

function device$(family: Family, { kernel, specs$, random }: Options): Observable<DeviceState> {
  return specs$.pipe(
    map((specs) => specs.find((spec) => spec.family === family)),
    distinctUntilChanged<VxlanSpec | undefined>(sameAs),
    // The newest specification matters: one that the kernel refuses must not be tried any more when it is corrected.
    switchMap((spec) => (spec ? kept$(kernel, spec, random) : of<DeviceState>({ kind: 'none', family }))),
  )
}

function kept$(kernel: Kernel, spec: VxlanSpec, random: () => number): Observable<DeviceState> {
  const { family } = spec
  const touched$ = kernel.events$.pipe(filter((event) => concerns(event, spec)))
  return merge(of(undefined), touched$).pipe(
    runLatest(() =>
      kernel.ensureLink$(spec).pipe(
        map((link): DeviceState => ({ kind: 'ready', family, spec, link })),
        retryTold({
          baseMs: 100,
          capMs: 10_000,
          random,
          tell: (fault): DeviceState => ({ kind: 'failed', family, spec, fault }),
        }),
      ),
    ),
  )
}

/** The device itself, or an address that it should have, or doubt about everything. */
function concerns(event: KernelEvent, spec: VxlanSpec): boolean {
  switch (event.kind) {
    case 'link':
      return event.link.name === spec.name
    case 'address':
      return (
        event.verb === 'remove' && spec.addresses.some((a) => a.address === event.address.address.address)
      )
    case 'overrun':
      return true
    case 'row':
    case 'routes':
    case 'refused':
      return false
  }
}
