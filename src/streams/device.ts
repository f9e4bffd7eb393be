import { filter, map, merge, type Observable, of, switchMap } from 'rxjs'
import type { Fault } from '../core/fault.ts'
import type { EnsuredLink, VxlanSpec } from '../core/kernel/link.ts'
import type { Kernel, KernelEvent } from '../ports/kernel.ts'
import { retryTold } from './operators/retry-told.ts'
import { runLatest } from './operators/run-latest.ts'

export type DeviceState =
  | { readonly kind: 'ready'; readonly spec: VxlanSpec; readonly link: EnsuredLink }
  | { readonly kind: 'failed'; readonly spec: VxlanSpec; readonly fault: Fault }

/**
 * Keeps the VXLAN device as wanted, whatever anybody does to it. Emits after every look, even when nothing had to
 * be done: a device that went down and up again has lost its neighbours and routes, so the tables are in doubt.
 */
export const device$ = (options: {
  readonly kernel: Kernel
  readonly spec$: Observable<VxlanSpec>
  readonly random: () => number
}): Observable<DeviceState> => {
  const { kernel, spec$, random } = options
  // The newest specification matters: one that the kernel refuses must not be tried any more when it is corrected.
  return spec$.pipe(switchMap((spec) => kept$(kernel, spec, random)))
}

function kept$(kernel: Kernel, spec: VxlanSpec, random: () => number): Observable<DeviceState> {
  const touched$ = kernel.events$.pipe(filter((event) => concerns(event, spec)))
  return merge(of(undefined), touched$).pipe(
    runLatest(() =>
      kernel.ensureLink$(spec).pipe(
        map((link): DeviceState => ({ kind: 'ready', spec, link })),
        retryTold({
          baseMs: 100,
          capMs: 10_000,
          random,
          tell: (fault): DeviceState => ({ kind: 'failed', spec, fault }),
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
    case 'miss':
    case 'row':
    case 'refused':
      return false
  }
}
