import {
  catchError,
  combineLatest,
  concat,
  concatMap,
  distinctUntilChanged,
  EMPTY,
  filter,
  ignoreElements,
  map,
  type Observable,
  of,
  type OperatorFunction,
  share,
  switchMap,
  tap,
} from 'rxjs'
import type { VxlanSpec } from '../core/kernel/link.ts'
import { judgeConfigChange } from '../core/overlay/config-change.ts'
import type { OwnContext, OwnIdentity } from '../core/overlay/own.ts'
import { ownRecord } from '../core/overlay/own-record.ts'
import { encodeRecord, type StoredRecord, type SubnetKey } from '../core/overlay/record.ts'
import { previousSubnets } from '../core/overlay/subnet-env.ts'
import { fits } from '../core/overlay/subnet-fit.ts'
import { parseSubnetKey, printSubnetKey } from '../core/overlay/subnet-key.ts'
import type { Underlay } from '../core/overlay/underlay.ts'
import { vxlanSpecs } from '../core/overlay/vxlan-spec.ts'
import type { SavedState } from '../ports/host.ts'
import type { LeaseStore, RecordEvent, StoreEvent } from '../ports/lease-store.ts'
import { identity$, type IdentityState } from './identity.ts'
import { type Held, type LeaseState, ownLease$ } from './lease.ts'
import { leave$ } from './leave.ts'
import { type Network, network$, type NetworkState } from './network.ts'
import { records$ as recordsOf$ } from './records.ts'
import { storeOf, storeOfKey } from './store-of.ts'
import { inPieces } from './operators/in-pieces.ts'
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
  /** Orders to adopt the network that is announced. */
  readonly renumber$: Observable<unknown>
}

/** A host on a network; which subnet it holds comes after. */
interface Self {
  readonly network: Network
  readonly me: OwnIdentity
  readonly underlay: Underlay
}

/** How the lease stands, and for whom it was asked. */
interface Taking {
  readonly self: Self
  readonly state: LeaseState
}

/** A millisecond or two of work: what a first packet may be kept waiting for. */
const changesInATurn = 32

export const whoWeAre = (options: Options): WhoWeAre => {
  const { world, settings, lastRun, renumber$ } = options
  let held = savedLease(lastRun.saved)
  const networks$ = network$({
    store: world.store,
    saved: lastRun.saved?.config,
    lease: () => held,
    onConfigChange: settings.onConfigChange,
    renumber$,
  }).pipe(shareLatest())
  const inForce$ = networks$.pipe(
    concatMap((state) => (state.kind === 'network' ? [state.network] : [])),
    // Two configurations may have one revision: etcd counts anew after it was wiped.
    distinctUntilChanged((a, b) => sameAs(a.stored, b.stored) && a.current === b.current),
    shareLatest(),
  )
  const guess = held ? storeOfKey(world.store, held) : world.store
  const records$ = recordsOf$(world.store, guess, inForce$).pipe(inPieces(changesInATurn), share())
  const identities$ = identity$(world, settings, { saved: lastRun.saved, network$: inForce$ }).pipe(
    shareLatest(),
  )
  const selves$ = combineLatest([inForce$, identities$]).pipe(
    // Another network may mean another MAC: who we are in it comes a moment after it.
    concatMap(([network, found]): readonly Self[] =>
      found.kind === 'identity' && sameAs(found.config, network.config)
        ? [{ network, me: found.me, underlay: found.underlay }]
        : [],
    ),
    distinctUntilChanged((a, b) => sameAs(a, b)),
    shareLatest(),
  )
  const takings$ = takingsOf$({ ...options, records$ }, selves$).pipe(
    tap(({ state }) => (held = state.kind === 'acquiring' ? held : state.lease)),
    shareLatest(),
  )
  const standing$ = standingsOf$(options, selves$, takings$).pipe(shareLatest())
  const specs$ = standing$.pipe(
    map(({ specs }) => specs),
    distinctUntilChanged((a, b) => sameAs(a, b)),
    shareLatest(),
  )
  const own$ = standing$.pipe(
    map(contextOf),
    distinctUntilChanged((a, b) => sameAs(a, b)),
  )
  return {
    records$,
    networks$,
    identities$,
    leases$: takings$.pipe(map(({ state }) => state)),
    own$,
    standing$,
    specs$,
  }
}

/** The lease of whoever we are, asked for anew where it can't go on. */
function takingsOf$(options: TermsOptions, selves$: Observable<Self>): Observable<Taking> {
  const { world, lastRun } = options
  let held = savedLease(lastRun.saved)
  let isStart = true // until a subnet is held: from then on --subnet moves nothing
  let latest: Network | undefined
  let before: Self | undefined
  return selves$.pipe(
    tap(({ network }) => (latest = network)),
    distinctUntilChanged((a, b) => publishesSame(a, b) && !isMove(a, b, held)),
    switchMap((self) => {
      // What a host that moves had goes on until etcd has what it gets.
      const moving = before && held && isMove(before, self, held) ? held : undefined
      before = self
      const lease$ = ownLease$({
        ...leaseTerms(options, self, isStart),
        network: () => latest ?? self.network,
        saved: moving ? undefined : fitting(held, self.network),
      })
      return lease$.pipe(
        goneFrom(world.store, self, moving),
        map((state): Taking => ({ self, state })),
      )
    }),
    tap(({ state }) => {
      held = state.kind === 'acquiring' ? held : state.lease
      isStart &&= state.kind !== 'owned'
    }),
  )
}

/** A network of IPv6 alone has its records elsewhere, where an attempt doesn't see what is left of the other. */
const goneFrom =
  (
    store: LeaseStore,
    { me, network }: Self,
    former: Held | undefined,
  ): OperatorFunction<LeaseState, LeaseState> =>
  (states$) => {
    if (!former || (former.subnet === undefined) === (network.config.ipv4 === undefined)) return states$
    let left = false
    return states$.pipe(
      concatMap((state) => {
        if (state.kind !== 'owned' || left) return of(state)
        left = true
        const leaving$ = leave$(store, { node: me.node, lease: former })
        return concat(
          of(state),
          leaving$.pipe(
            ignoreElements(),
            catchError(() => EMPTY),
          ),
        ) // it runs out by itself
      }),
    )
  }

/** What we are with the lease that etcd gave us as that; where we move, what we were, until then. */
function standingsOf$(
  { settings, lastRun }: Options,
  selves$: Observable<Self>,
  takings$: Observable<Taking>,
): Observable<Standing> {
  const saved = savedLease(lastRun.saved)
  const former = new Map<string, SubnetKey>(saved ? [[saved.key, saved]] : [])
  return combineLatest([selves$, takings$.pipe(holding())]).pipe(
    filter(([self, taken]) => !isMove(taken.self, self, taken.lease)),
    map(([self, { lease }]) => {
      const gone = [...former].filter(([key]) => key !== lease.key).map(([, subnets]) => subnets)
      former.set(lease.key, lease)
      const { device, checksumOffload } = settings
      return standingOf(self, lease, { device, checksumOffload, former: gone })
    }),
    distinctUntilChanged((a, b) => sameAs(a, b)),
  )
}

interface Taken {
  readonly self: Self
  readonly lease: Held
}

/** The subnet held, in whatever state the lease is. */
const holding = (): OperatorFunction<Taking, Taken> => (takings$) =>
  takings$.pipe(
    concatMap(({ self, state }) =>
      state.kind === 'acquiring' ? [] : [{ self, lease: heldOf(state.lease) }],
    ),
    distinctUntilChanged((a, b) => a.self === b.self && sameAs(a.lease, b.lease)),
  )

function standingOf(
  { network, me, underlay }: Self,
  lease: Held,
  more: Pick<AgentSettings, 'device' | 'checksumOffload'> & { readonly former: readonly SubnetKey[] },
): Standing {
  const specs = vxlanSpecs({ config: network.config, me, lease, underlay, ...more })
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

/** Between the two lies a renumbering. */
const isMove = (a: Self, b: Self, held: SubnetKey | undefined): boolean =>
  judgeConfigChange(a.network.config, b.network.config, held).kind === 'renumber'

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
