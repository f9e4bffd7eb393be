import {
  catchError,
  concatMap,
  EMPTY,
  filter,
  ignoreElements,
  merge,
  mergeMap,
  type Observable,
  of,
  throttle,
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
import type { Host } from '../ports/host.ts'
import type { StoreEvent } from '../ports/lease-store.ts'
import type { Held } from './lease.ts'
import type { Network } from './network.ts'
import { runLatest } from './operators/run-latest.ts'

/** Where this host stands; each emission is written down. */
export interface Standing {
  readonly network: Network
  readonly me: OwnIdentity
  readonly lease: Held
  readonly underlay: Underlay
  readonly specs: readonly VxlanSpec[]
}

/** Writes state and subnet.env, and switches forwarding on. Emits what went wrong; the agent goes on without. */
export const remember$ = (
  host: Host,
  masquerade: boolean,
  standing$: Observable<Standing>,
): Observable<Fault> =>
  standing$.pipe(
    concatMap(({ network, me, lease, underlay, specs }) => {
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
        told$(host.save$(state)),
        told$(host.writeSubnetEnv$(subnetEnv)),
        ...forwarded(lease).map((family) => toldOff$(family, host.forward$(family))),
      )
    }),
  )

const forwarded = ({ subnet, subnet6 }: Held): readonly Family[] => [
  ...(subnet ? [4 as const] : []),
  ...(subnet6 ? [6 as const] : []),
]

const toldOff$ = (family: Family, forwards$: Observable<boolean>): Observable<Fault> =>
  forwards$.pipe(
    mergeMap((on) =>
      on ? EMPTY : of(Fault.of('forwarding-off', `IPv${String(family)} ${faultCodes['forwarding-off']}`)),
    ),
  )

/**
 * Keeps the records on disk, so that the next start can forward before etcd answers. The first snapshot at once:
 * a host that is ready may lose power the moment after. Later changes within a second, or within a second for each
 * thousand records, since the file is written as a whole.
 */
export const rememberPeers$ = (
  host: Host,
  forwarding: Forwarding,
  records$: Observable<StoreEvent<RecordEvent>>,
): Observable<Fault> =>
  records$.pipe(
    filter(({ kind }) => kind === 'value'),
    throttle(() => timer(Math.max(1000, forwarding.directory.size)), { leading: true, trailing: true }),
    runLatest(() => savePeers$(host, forwarding)),
  )

/** For an agent that is told to stop: the last second's changes, unless all it knows is from the disk anyway. */
export const rememberLastPeers$ = (host: Host, forwarding: Forwarding): Observable<Fault> =>
  forwarding.mayPrune ? savePeers$(host, forwarding) : EMPTY

const savePeers$ = (host: Host, forwarding: Forwarding): Observable<Fault> =>
  told$(host.savePeers$(recordsToKeep(forwarding)))

/** This host's end of the tunnels of one family. */
const savedEnd = (vtep: OwnVtep | undefined, specs: readonly VxlanSpec[], family: Family) => ({
  publicIp: vtep ? Ip.print(vtep.publicIp) : '',
  device: specs.find((spec) => spec.family === family)?.name ?? '',
  vtepMac: vtep ? Mac.print(vtep.vtepMac) : '',
})

/** A disk that can't be written is told, and nothing waits for it. */
const told$ = (write$: Observable<void>): Observable<Fault> =>
  write$.pipe(
    ignoreElements(),
    catchError((error: unknown) => of(Fault.is(error) ? error : Fault.of('state-unwritable', String(error)))),
  )
