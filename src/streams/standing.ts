import {
  combineLatest,
  concatMap,
  distinctUntilChanged,
  map,
  type Observable,
  type OperatorFunction,
  share,
  switchMap,
  tap,
} from 'rxjs'
import type { VxlanSpec } from '../core/kernel/link.ts'
import type { OwnContext, OwnIdentity } from '../core/overlay/own.ts'
import { ownRecord } from '../core/overlay/own-record.ts'
import { encodeRecord, type StoredRecord } from '../core/overlay/record.ts'
import { previousSubnets } from '../core/overlay/subnet-env.ts'
import { fits } from '../core/overlay/subnet-fit.ts'
import { parseSubnetKey, printSubnetKey } from '../core/overlay/subnet-key.ts'
import type { Underlay } from '../core/overlay/underlay.ts'
import { vxlanSpecs } from '../core/overlay/vxlan-spec.ts'
import type { SavedState } from '../ports/host.ts'
import type { RecordEvent, StoreEvent } from '../ports/lease-store.ts'
import { identity$, type IdentityState } from './identity.ts'
import { type Held, type LeaseState, ownLease$ } from './lease.ts'
import { type Network, network$, type NetworkState } from './network.ts'
import { records$ as recordsOf$ } from './records.ts'
import { storeOf, storeOfKey } from './store-of.ts'
import { sameAs } from './operators/same-as.ts'
import { shareLatest } from './operators/share-latest.ts'
import type { Standing } from './remember.ts'
import type { AgentSettings, World } from './world.ts'

/** What the run before this one left on disk. */
export interface LastRun {
  readonly saved: SavedState | undefined
  readonly peers: readonly StoredRecord[]
  readonly subnetEnv: string | undefined
}

/** The streams that answer "who is this host, on which network, with which subnet". */
export interface WhoWeAre {
  readonly records$: Observable<StoreEvent<RecordEvent>>
  readonly networks$: Observable<NetworkState>
  readonly identities$: Observable<IdentityState>
  readonly leases$: Observable<LeaseState>
  readonly own$: Observable<OwnContext>
  readonly standing$: Observable<Standing>
  readonly specs$: Observable<readonly VxlanSpec[]>
}

interface Options {
  readonly world: World
  readonly settings: AgentSettings
  readonly lastRun: LastRun
  /** {@link WhoWeAre.records$} has given its first list. */
  readonly listed: () => boolean
}

/** A host on a network; which subnet it holds comes after. */
interface Self {
  readonly network: Network
  readonly me: OwnIdentity
  readonly underlay: Underlay
}

export const whoWeAre = (options: Options): WhoWeAre => {
  const { world, settings, lastRun } = options
  let held = savedLease(lastRun.saved)
  let isStart = true // until a subnet is held: from then on --subnet moves nothing
  let latest: Network | undefined
  const networks$ = network$({ store: world.store, saved: lastRun.saved?.config, lease: () => held }).pipe(
    shareLatest(),
  )
  const inForce$ = networks$.pipe(
    concatMap((state) => (state.kind === 'network' ? [state.network] : [])),
    distinctUntilChanged((a, b) => a.stored.modRevision === b.stored.modRevision && a.current === b.current),
    shareLatest(),
  )
  const guess = held ? storeOfKey(world.store, held) : world.store
  const records$ = recordsOf$(world.store, guess, inForce$).pipe(share())
  const identities$ = identity$(world, settings, { saved: lastRun.saved, network$: inForce$ }).pipe(
    shareLatest(),
  )
  const selves$ = combineLatest([inForce$, identities$]).pipe(
    concatMap(([network, found]): readonly Self[] =>
      found.kind === 'identity' ? [{ network, me: found.me, underlay: found.underlay }] : [],
    ),
    distinctUntilChanged((a, b) => sameAs(a, b)),
    tap(({ network }) => (latest = network)),
    shareLatest(),
  )
  const leases$ = selves$.pipe(
    distinctUntilChanged((a, b) => publishesSame(a, b)),
    switchMap((self) =>
      ownLease$({
        ...leaseTerms({ ...options, records$ }, self, isStart),
        network: () => latest ?? self.network,
        saved: fitting(held, self.network),
      }),
    ),
    tap((state) => {
      held = state.kind === 'acquiring' ? held : state.lease
      isStart &&= state.kind !== 'owned'
    }),
    shareLatest(),
  )
  const standing$ = combineLatest([selves$, leases$.pipe(holding())]).pipe(
    map(([self, lease]) => standingOf(self, lease, settings)),
    distinctUntilChanged((a, b) => sameAs(a, b)),
    shareLatest(),
  )
  const specs$ = standing$.pipe(
    map(({ specs }) => specs),
    distinctUntilChanged((a, b) => sameAs(a, b)),
    shareLatest(),
  )
  const own$ = standing$.pipe(
    map(contextOf),
    distinctUntilChanged((a, b) => sameAs(a, b)),
  )
  return { records$, networks$, identities$, leases$, own$, standing$, specs$ }
}

/** The subnet held, in whatever state the lease is. */
const holding = (): OperatorFunction<LeaseState, Held> => (leases$) =>
  leases$.pipe(
    concatMap((state) => (state.kind === 'acquiring' ? [] : [heldOf(state.lease)])),
    distinctUntilChanged(
      (a, b) => a.key === b.key && a.leaseId === b.leaseId && a.modRevision === b.modRevision,
    ),
  )

function standingOf({ network, me, underlay }: Self, lease: Held, settings: AgentSettings): Standing {
  const { device, checksumOffload } = settings
  const specs = vxlanSpecs({ config: network.config, me, lease, underlay, device, checksumOffload })
  return { network, me, underlay, lease, specs }
}

const contextOf = ({ network, me, lease: { key, subnet, subnet6, leaseId } }: Standing): OwnContext => ({
  config: network.config,
  identity: me,
  lease: { key, subnet, subnet6, leaseId },
})

/** Whether the lease can go on: what else changes is asked for by the next attempt at a subnet. */
const publishesSame = (a: Self, b: Self): boolean =>
  encodeRecord(ownRecord(a.me, a.network.config.backend)) ===
  encodeRecord(ownRecord(b.me, b.network.config.backend))

type TermsOptions = Options & Pick<WhoWeAre, 'records$'>

function leaseTerms(options: TermsOptions, { network, me }: Self, mayRenumber: boolean) {
  const { world, settings, lastRun, records$, listed } = options
  const { clock } = world
  const store = storeOf(world.store, network.config)
  const random = (): number => clock.random()
  const written = lastRun.subnetEnv === undefined ? undefined : previousSubnets(lastRun.subnetEnv)
  const previous = written ? printSubnetKey(written) : lastRun.saved?.lease.key
  const { onConflict, leaseTtlSeconds: ttlSeconds } = settings
  const wanted = settings.subnet && { subnets: settings.subnet, mayRenumber }
  return { store, me, previous, wanted, onConflict, ttlSeconds, random, records$, listed }
}

/** A restart may meet another network: what was held then is no claim on it. */
function fitting(held: Held | undefined, { config }: Network): Held | undefined {
  return held && fits(held, config) ? held : undefined
}

/** Without what changes with every look at it. */
const heldOf = ({ key, subnet, subnet6, leaseId, modRevision }: Held): Held => ({
  key,
  subnet,
  subnet6,
  leaseId,
  modRevision,
})

function savedLease(saved: SavedState | undefined): Held | undefined {
  const key = saved && parseSubnetKey(saved.lease.key)
  return saved && key && { ...saved.lease, ...key }
}
