import {
  catchError, concatMap, defer, forkJoin, map, merge, NEVER, type Observable, of, scan,
  Subject, switchMap, tap, throwError,
} from 'rxjs' // prettier-ignore
import { Fault } from '../core/fault.ts'
import { Forwarding } from '../core/forwarding.ts'
import type { RecordEvent, StoreEvent } from '../ports/lease-store.ts'
import { type AgentEvent, type AgentState, reduceAgent, startingAgent } from './agent-state.ts'
import { checksums$ } from './checksums.ts'
import { afterTables, crowdDelayMs } from './crowd.ts'
import { devices$, type DeviceState } from './device.ts'
import { filterSpec, packetFilter$ } from './packet-filter.ts'
import { dropOutgrown$ } from './outgrown.ts'
import { type PlaneLink, reconcile$ } from './reconcile.ts'
import { remember$, rememberPeers$ } from './remember.ts'
import { type LastRun, whoWeAre } from './standing.ts'
import type { AgentSettings, World } from './world.ts'

/** A running agent, as far as the outside may see it. */
export interface AgentView {
  readonly state: AgentState
  readonly forwarding: Forwarding
  /** What has just happened. */
  readonly event: AgentEvent
}

/**
 * The whole agent: underlay and network say who we are, etcd gives a subnet and the peers, the device is kept, the
 * tables follow. Emits after everything that happens; never completes, and errors only where it can't go on.
 */
export const agent$ = (
  world: World,
  settings: AgentSettings,
  renumber$: Observable<unknown> = NEVER,
): Observable<AgentView> =>
  forkJoin({
    saved: orAbsent$(world.host.load$(), undefined),
    peers: orAbsent$(world.host.loadPeers$(), []),
    subnetEnv: orAbsent$(world.host.readSubnetEnv$(), undefined),
  }).pipe(
    switchMap((lastRun) => {
      const forwarding = new Forwarding(settings)
      const begin = { state: startingAgent, event: undefined }
      return events$({ world, settings, forwarding, lastRun, renumber$ }).pipe(
        scan((now: { state: AgentState; event: AgentEvent | undefined }, event) => {
          return { state: reduceAgent(now.state, event, world.clock.now()), event }
        }, begin),
        concatMap(({ state, event }) => (event ? [{ state, forwarding, event }] : [])),
      )
    }),
  )

/** A file that can't be read is as good as none, as a damaged one is; it is told of when it is to be written. */
const orAbsent$ = <T>(read$: Observable<T>, absent: T): Observable<T> =>
  read$.pipe(catchError((error: unknown) => (Fault.is(error) ? of(absent) : throwError(() => error))))

interface Parts {
  readonly world: World
  readonly settings: AgentSettings
  readonly forwarding: Forwarding
  readonly lastRun: LastRun
  /** Orders to adopt the network that is announced. */
  readonly renumber$: Observable<unknown>
}

const events$ = ({ world, settings, forwarding, lastRun, renumber$ }: Parts): Observable<AgentEvent> =>
  defer(() => {
    const { kernel, host, clock } = world
    const peers = lastRun.saved ? lastRun.peers.length : 0 // without a lease there is nothing to be patient with
    const delayMs = crowdDelayMs({ uptimeMs: host.uptimeMs(), peers, random: clock.random() })
    const placed$ = new Subject<void>()
    const store = peers === 0 ? world.store : afterTables(world.store, { placed$, delayMs })
    const { records$, networks$, identities$, leases$, own$, standing$, specs$ } = whoWeAre({
      world: { ...world, store },
      settings,
      lastRun,
      listed: () => forwarding.mayPrune,
      renumber$,
    })
    const deviceStates$ = devices$({ kernel, specs$, random: () => clock.random() })
    const outcomes$ = reconcile$({
      kernel,
      clock,
      forwarding,
      own$,
      links$: deviceStates$.pipe(concatMap(linkOf)),
      records$,
      savedRecords: lastRun.peers,
      resyncMs: settings.resyncMs,
      tellMisses: settings.tellMisses,
      processOf: (pid) => host.processName(pid),
      idleCheckMs:
        settings.resolve === 'on-miss' && settings.idle > 0 ? Math.max(1000, settings.idle / 4) : 0,
    }).pipe(tap(({ kind }) => kind === 'settled' && forwarding.isRead && placed$.next()))
    const asides$ = merge(
      remember$(host, settings.filter.masquerade, standing$),
      rememberPeers$(world, forwarding, records$),
      dropOutgrown$(kernel, savedDevices(lastRun), deviceStates$),
    )
    const filterStates$ = packetFilter$({
      filter: world.filter,
      spec$: standing$.pipe(map((standing) => filterSpec(standing, settings.filter))),
      resyncMs: settings.resyncMs,
      random: () => clock.random(),
    })
    return merge(
      standing$.pipe(map((standing): AgentEvent => ({ kind: 'standing', standing }))),
      outcomes$.pipe(map((outcome): AgentEvent => ({ kind: 'outcome', outcome }))),
      networks$.pipe(map((state): AgentEvent => ({ kind: 'network', state }))),
      identities$.pipe(
        map((found): AgentEvent =>
          found.kind === 'none' ? { kind: 'no underlay', fault: found.fault } : { ...found, kind: 'self' },
        ),
      ),
      leases$.pipe(map((state): AgentEvent => ({ kind: 'lease', state }))),
      deviceStates$.pipe(map((state): AgentEvent => ({ kind: 'device', state }))),
      filterStates$.pipe(map((state): AgentEvent => ({ kind: 'filter', state }))),
      records$.pipe(map(etcdEvent)),
      checksums$(host, settings.resyncMs).pipe(map((state): AgentEvent => ({ kind: 'checksums', ...state }))),
      asides$.pipe(map((aside): AgentEvent => ({ kind: 'fault', ...aside }))),
    )
  })

const linkOf = (state: DeviceState): readonly PlaneLink[] =>
  state.kind === 'failed'
    ? []
    : state.kind === 'ready'
      ? [{ family: state.family, link: state.link.index, device: state.spec.name }]
      : [{ family: state.family, link: undefined }]

const savedDevices = ({ saved }: LastRun): readonly string[] =>
  [saved?.device, saved?.ipv6?.device].filter((name) => name !== undefined && name !== '') as string[]

const etcdEvent = (event: StoreEvent<RecordEvent>): AgentEvent => ({
  kind: 'etcd',
  connected: event.kind !== 'disconnected',
  revision: event.kind === 'value' ? event.revision : 0,
  fault: event.kind === 'disconnected' ? event.fault : undefined,
})
