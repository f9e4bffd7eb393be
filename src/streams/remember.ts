import {
  catchError,
  concat,
  defer,
  distinctUntilChanged,
  EMPTY,
  expand,
  filter,
  ignoreElements,
  map,
  merge,
  mergeMap,
  type Observable,
  of,
  switchMap,
  throttle,
  throwError,
  timer,
} from 'rxjs'
import { Fault, faultCodes } from '../core/fault.ts'
import type { Forwarding } from '../core/forwarding.ts'
import type { VxlanSpec } from '../core/kernel/link.ts'
import { type Family, Ip } from '../core/net/ip.ts'
import { Mac } from '../core/net/mac.ts'
import { recordsToKeep } from '../core/overlay/kept-records.ts'
import type { OwnIdentity, OwnVtep } from '../core/overlay/own.ts'
import { printSubnetEnv } from '../core/overlay/subnet-env.ts'
import type { Underlay } from '../core/overlay/underlay.ts'
import { overlayMtuBytes } from '../core/overlay/vxlan-spec.ts'
import type { RecordEvent } from '../core/overlay/record.ts'
import type { Clock } from '../ports/clock.ts'
import type { Host } from '../ports/host.ts'
import type { StoreEvent } from '../ports/lease-store.ts'
import type { Held } from './lease.ts'
import type { Network } from './network.ts'
import { retryTold } from './operators/retry-told.ts'
import { runLatest } from './operators/run-latest.ts'
import type { World } from './world.ts'

/** Where this host stands; each emission is written down. */
export interface Standing {
  readonly network: Network
  readonly me: OwnIdentity
  readonly lease: Held
  readonly underlay: Underlay
  readonly specs: readonly VxlanSpec[]
}

/** How a piece of upkeep went: with a fault, or well. The agent goes on without it, and tries again. */
export interface Upkeep {
  readonly of: 'state' | 'subnet.env' | 'peers' | `forwarding of IPv${Family}` | 'old device'
  readonly fault: Fault | undefined
}

/** Writes state and subnet.env, and switches forwarding on. */
export const remember$ = (
  host: Host,
  masquerade: boolean,
  standing$: Observable<Standing>,
): Observable<Upkeep> =>
  standing$.pipe(
    switchMap(({ network, me, lease, underlay, specs }) => {
      const { key, leaseId, modRevision } = lease
      const state = {
        node: me.node,
        ...savedEnd(me.ipv4, specs, 4),
        ...(me.ipv6 && { ipv6: savedEnd(me.ipv6, specs, 6) }),
        config: network.stored,
        lease: { key, leaseId, modRevision },
      }
      const mtuBytes = overlayMtuBytes(specs, underlay)
      const subnetEnv = printSubnetEnv(network.config, lease, { mtuBytes, masquerade })
      return merge(
        upkeep$('state', host.save$(state)),
        upkeep$('subnet.env', host.writeSubnetEnv$(subnetEnv)),
        ...forwarded(lease).map((family) =>
          upkeep$(`forwarding of IPv${family}`, forward$(family, host.forward$(family))),
        ),
      )
    }),
  )

const forwarded = ({ subnet, subnet6 }: Held): readonly Family[] => [
  ...(subnet ? [4 as const] : []),
  ...(subnet6 ? [6 as const] : []),
]

const forward$ = (family: Family, forwards$: Observable<boolean>): Observable<never> =>
  forwards$.pipe(
    mergeMap((on) =>
      on
        ? EMPTY
        : throwError(() =>
            Fault.of('forwarding-off', `IPv${String(family)} ${faultCodes['forwarding-off']}`),
          ),
    ),
  )

/**
 * Keeps the records on disk, so that the next start can forward before etcd answers. The first snapshot at once:
 * a host that is ready may lose power the moment after. Later changes within a second, or within a second for each
 * thousand records, since the file is written as a whole. And once more when a hold has ended, or the next start
 * would hold the same peer again.
 */
export const rememberPeers$ = (
  { host, clock }: Pick<World, 'host' | 'clock'>,
  forwarding: Forwarding,
  records$: Observable<StoreEvent<RecordEvent>>,
): Observable<Upkeep> =>
  records$.pipe(
    filter(({ kind }) => kind === 'value'),
    throttle(() => timer(Math.max(1000, forwarding.directory.size)), { leading: true, trailing: true }),
    switchMap(() => of(undefined).pipe(expand(() => holdEnds$(forwarding, clock)))),
    runLatest(() => upkeep$('peers', savePeers$(host, forwarding))),
    distinctUntilChanged((a, b) => a.fault === b.fault),
  )

function holdEnds$({ removal }: Forwarding, clock: Clock): Observable<undefined> {
  const at = removal.nextDeadline()
  if (at === undefined) return EMPTY
  return timer(Math.max(0, at - clock.now()) + 1000).pipe(map(() => undefined)) // the peer has gone by then
}

/** For an agent that is told to stop: the last second's changes, unless all it knows is from the disk anyway. */
export const rememberLastPeers$ = (host: Host, forwarding: Forwarding): Observable<void> =>
  forwarding.mayPrune ? savePeers$(host, forwarding).pipe(catchError(() => EMPTY)) : EMPTY // told of before

/** Those that are known when it comes to writing: a try that follows a failed one has newer ones. */
const savePeers$ = (host: Host, forwarding: Forwarding): Observable<void> =>
  defer(() => host.savePeers$(recordsToKeep(forwarding)))

/** This host's end of the tunnels of one family. */
const savedEnd = (vtep: OwnVtep | undefined, specs: readonly VxlanSpec[], family: Family) => ({
  publicIp: vtep ? Ip.print(vtep.publicIp) : '',
  device: specs.find((spec) => spec.family === family)?.name ?? '',
  vtepMac: vtep ? Mac.print(vtep.vtepMac) : '',
})

/** What fails is told and tried again, less and less often; nothing waits for it. */
export const upkeep$ = (what: Upkeep['of'], work$: Observable<unknown>): Observable<Upkeep> =>
  concat(work$.pipe(ignoreElements()), of<Upkeep>({ of: what, fault: undefined })).pipe(
    retryTold({
      baseMs: 1000,
      capMs: 10_000,
      random: () => 1, // it is this host's own: there is no crowd to spread
      tell: (fault): Upkeep => ({ of: what, fault }),
    }),
  )
