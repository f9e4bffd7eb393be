import {
  asyncScheduler,
  catchError,
  concatMap,
  distinctUntilChanged,
  filter,
  forkJoin,
  map,
  merge,
  NEVER,
  type Observable,
  of,
  share,
  switchMap,
  throttleTime,
  throwError,
  timer,
} from 'rxjs'
import { Fault } from '../core/fault.ts'
import { filterChanges } from '../core/filter/changes.ts'
import { legacyDropping } from '../core/filter/legacy.ts'
import type { FilteredFamily, FilterSpec } from '../core/filter/masquerade.ts'
import { type NftCommand, printCommand } from '../core/filter/nftables.ts'
import type { Family } from '../core/net/ip.ts'
import type { OwnLease } from '../core/overlay/own.ts'
import type { FilterChange, PacketFilter } from '../ports/packet-filter.ts'
import { retryTold } from './operators/retry-told.ts'
import { runLatest } from './operators/run-latest.ts'
import { sameAs } from './operators/same-as.ts'
import type { Standing } from './remember.ts'

export type FilterState =
  | {
      readonly kind: 'kept'
      readonly spec: FilterSpec
      /** What this look had to do; nothing, as a rule. */
      readonly wrote: readonly NftCommand[]
      /** `forward-dropped`, while somebody's chain drops what the overlay needs. */
      readonly fault: Fault | undefined
    }
  | { readonly kind: 'failed'; readonly fault: Fault }

interface Options {
  readonly filter: PacketFilter
  readonly spec$: Observable<FilterSpec>
  /** How often it is looked at although nothing happened: iptables of the old kind tells of no change. */
  readonly resyncMs: number
  readonly random: () => number
}

/** Keeps our table and rules as wanted, whatever anybody does to them. Emits after every look. */
export const packetFilter$ = ({ filter, spec$, resyncMs, random }: Options): Observable<FilterState> =>
  spec$.pipe(
    distinctUntilChanged<FilterSpec>(sameAs),
    switchMap((spec) =>
      merge(of(0), timer(resyncMs, resyncMs), soon$(heard$(filter.changes$))).pipe(
        runLatest(() =>
          look$(filter, spec).pipe(
            retryTold({
              baseMs: 100,
              capMs: 30_000,
              random,
              tell: (fault): FilterState => ({ kind: 'failed', fault }),
            }),
          ),
        ),
      ),
    ),
  )

/** What the user wants, for where this host stands. */
export const filterSpec = (
  {
    network: { config },
    lease,
    specs,
  }: Pick<Standing, 'network' | 'specs'> & { readonly lease: Pick<OwnLease, 'subnet' | 'subnet6'> },
  settings: Omit<FilterSpec, 'families'>,
): FilterSpec => {
  const { backend } = config
  // With DirectRouting some peers come through the tunnel, and some through the underlay's interface.
  const isTunnel = backend.kind === 'vxlan' && !backend.directRouting
  const device = (family: Family): string | undefined =>
    isTunnel ? specs.find((spec) => spec.family === family)?.name : undefined
  const families: readonly FilteredFamily[] = [
    ...(config.ipv4 && lease.subnet
      ? [{ network: config.ipv4.network, subnet: lease.subnet, device: device(4) }]
      : []),
    ...(config.ipv6 && lease.subnet6
      ? [{ network: config.ipv6.network, subnet: lease.subnet6, device: device(6) }]
      : []),
  ]
  const { masquerade, fullyRandom, acceptForwarded } = settings
  return { masquerade, fullyRandom, acceptForwarded, families }
}

/** Ours at once, a burst as two; whoever writes ten thousand rules gets one look a second. */
const soon$ = (source$: Observable<FilterChange>): Observable<unknown> => {
  const changes$ = source$.pipe(share())
  const every = (ms: number) => throttleTime(ms, asyncScheduler, { leading: true, trailing: true })
  return merge(
    changes$.pipe(
      filter((change) => change === 'own'),
      every(100),
    ),
    changes$.pipe(
      filter((change) => change === 'others'),
      every(1000),
    ),
  )
}

/** Without the capability to listen there is the timer; that it is missing is told by whoever writes. */
const heard$ = (changes$: Observable<FilterChange>): Observable<FilterChange> =>
  changes$.pipe(catchError((error: unknown) => (Fault.is(error) ? NEVER : throwError(() => error))))

const look$ = (filter: PacketFilter, spec: FilterSpec): Observable<FilterState> =>
  forkJoin([lookAtOurs$(filter, spec), filter.readLegacy$()]).pipe(
    map(([state, legacy]) => {
      const dropping = legacyDropping(legacy, spec.families)
      if (state.kind === 'failed' || dropping.length === 0) return state
      const before = state.fault ? [state.fault.message] : []
      return { ...state, fault: Fault.of('forward-dropped', [...before, ...dropping].join('; ')) }
    }),
  )

function lookAtOurs$(filter: PacketFilter, spec: FilterSpec): Observable<FilterState> {
  return filter.read$().pipe(
    concatMap((listing): Observable<FilterState> => {
      const { commands, dropping } = filterChanges(listing, spec)
      const fault =
        dropping.length === 0 ? undefined : Fault.of('forward-dropped', `${dropping.join('; ')}; ${advice}`)
      const done: FilterState = { kind: 'kept', spec, wrote: commands, fault }
      return commands.length === 0 ? of(done) : written$(filter, spec, commands).pipe(map(() => done))
    }),
    catchError((error: unknown) => {
      // Where there is no nft and nothing is wanted of it, there is nothing of ours.
      const isWanted = spec.masquerade || spec.acceptForwarded
      return !isWanted && Fault.is(error) && error.code === 'nft-missing'
        ? of<FilterState>({ kind: 'kept', spec, wrote: [], fault: undefined })
        : throwError(() => error)
    }),
  )
}

const advice = '--forward-rules true would accept them'

/** Read back: an nft that prints something else than it was told would have us write for ever, without a word. */
const written$ = (
  filter: PacketFilter,
  spec: FilterSpec,
  commands: readonly NftCommand[],
): Observable<void> =>
  filter.apply$(commands).pipe(
    concatMap(() => filter.read$()),
    concatMap((listing) =>
      filterChanges(listing, spec).commands.length === 0
        ? of(undefined)
        : throwError(() =>
            Fault.of('kernel-busy', 'nftables does not stand as written; somebody else writes too'),
          ),
    ),
  )

/** What the next look would do, as commands; a comment line tells what is wrong. */
export const planFilter$ = (filter: PacketFilter, spec: FilterSpec): Observable<readonly string[]> =>
  forkJoin([planOurs$(filter, spec), filter.readLegacy$()]).pipe(
    map(([lines, legacy]) => [
      ...lines,
      ...legacyDropping(legacy, spec.families).map((complaint) => `# ${complaint}`),
    ]),
  )

const planOurs$ = (filter: PacketFilter, spec: FilterSpec): Observable<readonly string[]> =>
  filter.read$().pipe(
    map((listing) => {
      const { commands, dropping } = filterChanges(listing, spec)
      return [...commands.map(printCommand), ...dropping.map((complaint) => `# ${complaint}; ${advice}`)]
    }),
    catchError((error: unknown) => {
      if (!Fault.is(error)) return throwError(() => error)
      const isUnwanted = !spec.masquerade && !spec.acceptForwarded
      return of(isUnwanted && error.code === 'nft-missing' ? [] : [`# ${error.code}: ${error.message}`])
    }),
  )

/** Removes all of ours; emits how many commands that took. Where there is no nft, nothing is ours. */
export const clearFilter$ = (filter: PacketFilter): Observable<number> =>
  filter.read$().pipe(
    concatMap((listing) => {
      const { commands } = filterChanges(listing)
      return commands.length === 0 ? of(0) : filter.apply$(commands).pipe(map(() => commands.length))
    }),
    catchError((error: unknown) =>
      Fault.is(error) && error.code === 'nft-missing' ? of(0) : throwError(() => error),
    ),
  )
