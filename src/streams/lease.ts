import {
  catchError,
  concat,
  concatMap,
  defer,
  distinctUntilChanged,
  EMPTY,
  filter,
  map,
  merge,
  type Observable,
  of,
  repeat,
  scan,
  startWith,
  switchMap,
  take,
  takeWhile,
  throwError,
  timer,
} from 'rxjs'
import { Fault } from '../core/fault.ts'
import { nodeOf, type StoredRecord } from '../core/overlay/record.ts'
import { printSubnetKey } from '../core/overlay/subnet-key.ts'
import type { RecordChange, RecordEvent, StoreEvent, StoreView } from '../ports/lease-store.ts'
import { type Acquired, acquire$, type AcquireOptions, type WantedSubnet } from './acquire.ts'
import type { Network } from './network.ts'
import { retryBackoff } from './operators/retry-backoff.ts'
import { retryTold } from './operators/retry-told.ts'

/** Our hold on a subnet. Only etcd's own word makes it lost; silence makes it unsure. */
export type LeaseState =
  | { readonly kind: 'acquiring'; readonly fault: Fault | undefined }
  | { readonly kind: 'owned'; readonly lease: Acquired; readonly remainingSeconds: number | undefined }
  /** etcd doesn't answer, or hasn't been asked yet since the restart: the data plane goes on. */
  | { readonly kind: 'unsure'; readonly lease: Held; readonly fault: Fault | undefined }
  | { readonly kind: 'lost'; readonly lease: Held }
  /** etcd gives what we held to another host; what follows is the user's choice. */
  | { readonly kind: 'conflict'; readonly lease: Held; readonly fault: Fault }

/** `renumber`: take another subnet. `hold`: keep forwarding, claim again and again. `exit`: end the agent. */
export type OnConflict = 'renumber' | 'hold' | 'exit'

/** A subnet held, with the revision of its record. */
export type Held = Omit<Acquired, 'did' | 'remainingSeconds' | 'instead'>

export interface LeaseOptions extends Omit<
  AcquireOptions,
  'insist' | 'held' | 'wanted' | 'network' | 'view$'
> {
  /** In force when an attempt begins: a change of it is no reason for one. */
  readonly network: () => Network
  readonly onConflict: OnConflict
  /** `--subnet`, which moves a host that holds another only when it starts. */
  readonly wanted: WantedSubnet | undefined
  /** What the last run held; in force until etcd says otherwise. */
  readonly saved: Held | undefined
  readonly records$: Observable<StoreEvent<RecordEvent>>
  /** Whether {@link records$} has given its first list; while it hasn't, that one is on its way. */
  readonly listed: () => boolean
}

/**
 * Holds a subnet for ever: acquires, keeps alive, and acquires again when etcd says that the lease or the key is
 * gone. The key hangs on a long lease that is kept alive hourly, so that neither an etcd outage nor a renewal is
 * an event for anybody.
 */
export const ownLease$ = (options: LeaseOptions): Observable<LeaseState> => {
  const { random, onConflict, wanted } = options
  let held: Held | undefined = options.saved
  let isStart = true
  const attempt$ = defer(() =>
    acquire$({
      ...options,
      network: options.network(),
      view$: view$(options),
      held: held?.key,
      wanted: wanted && { ...wanted, mayRenumber: wanted.mayRenumber && isStart },
      insist: onConflict === 'renumber' ? undefined : held?.key,
    }),
  ).pipe(
    concatMap((lease): readonly LeaseState[] => {
      if (onConflict === 'exit' && isConflict(lease.instead)) throw new Error(lease.instead.message)
      const before = held
      held = lease
      isStart = false
      const owned: LeaseState = { kind: 'owned', lease, remainingSeconds: lease.remainingSeconds }
      const isOrdered = wanted && lease.key === printSubnetKey(wanted.subnets)
      return before && before.key !== lease.key && !isOrdered ? [renumbered(before, lease), owned] : [owned]
    }),
    catchError((error: unknown) =>
      throwError(() =>
        onConflict === 'exit' && (held ?? wanted) && isConflict(error) ? new Error(error.message) : error,
      ),
    ),
  )
  const held$ = attempt$.pipe(
    retryTold({
      baseMs: 200,
      capMs: 30_000,
      random,
      tell: (fault): LeaseState =>
        held && isConflict(fault) ? { kind: 'conflict', lease: held, fault } : { kind: 'acquiring', fault },
    }),
    switchMap((state) =>
      state.kind === 'owned' ? concat(of(state), hold$(state.lease, options)) : of(state),
    ),
    takeWhile((state) => state.kind !== 'lost', true),
  )
  const again$ = held$.pipe(repeat({ delay: () => timer(100 + 400 * options.random()) }))
  const { saved } = options
  return saved ? concat(of<LeaseState>({ kind: 'unsure', lease: saved, fault: undefined }), again$) : again$
}

/** How long an attempt waits for the list that the watch should be about to give. */
const patienceMs = 1000

/** At start the watch is about to list all records: asking for the same once more would double the wait. */
const view$ = ({ records$, listed, store }: LeaseOptions): Observable<Pick<StoreView, 'records'>> =>
  defer(() => {
    if (listed()) return store.read$()
    const list$ = records$.pipe(
      concatMap((event) => (event.kind === 'value' && event.value.kind === 'snapshot' ? [event.value] : [])),
    )
    // What keeps it away is for the question itself to find out.
    return merge(list$, timer(patienceMs).pipe(concatMap(() => store.read$()))).pipe(take(1))
  })

const isConflict = (error: unknown): error is Fault => Fault.is(error) && error.code === 'lease-conflict'

const renumbered = (before: Held, lease: Held): LeaseState => ({
  kind: 'conflict',
  lease: before,
  fault: Fault.of(
    'lease-conflict',
    `subnet ${before.key} went to another host; this one is ${lease.key} now`,
  ),
})

function hold$(lease: Acquired, options: LeaseOptions): Observable<LeaseState> {
  return hooks$(lease, options).pipe(
    switchMap((now, count) => {
      const moved: LeaseState = { kind: 'owned', lease: now, remainingSeconds: now.remainingSeconds }
      const lost: LeaseState = { kind: 'lost', lease: now }
      return merge(
        count === 0 ? EMPTY : of(moved),
        now.leaseId === '0' ? EMPTY : keepAlive$(now, options),
        disputed$(now, options).pipe(map(() => lost)),
      )
    }),
  )
}

/** Our record on the lease that it hangs on: `tweed reserve` takes it off its lease, and puts it on another. */
const hooks$ = (lease: Acquired, { records$, me }: LeaseOptions): Observable<Acquired> =>
  records$.pipe(
    scan((now, event) => {
      const record = event.kind === 'value' ? recordIn(event.value, now.key) : undefined
      if (!record || record.modRevision <= now.modRevision || nodeOf(record.value) !== me.node) return now
      const { leaseId, modRevision } = record
      return { ...now, leaseId, modRevision, remainingSeconds: undefined }
    }, lease),
    startWith(lease),
    distinctUntilChanged((a, b) => a.leaseId === b.leaseId),
  )

const recordIn = (event: RecordEvent, key: string): StoredRecord | undefined => {
  if (event.kind === 'snapshot') return event.records.find((record) => record.key === key)
  const last = event.changes.findLast((change) => keyOf(change) === key)
  return last?.kind === 'put' ? last.record : undefined
}

/** Once at a random moment of the first period, then every period ±10 %. */
function keepAlive$(lease: Acquired, options: LeaseOptions): Observable<LeaseState> {
  // An adopted lease has the life that an earlier run asked for, which may be far shorter than ours.
  const lifeSeconds = Math.min(options.ttlSeconds, lease.remainingSeconds ?? Infinity)
  const periodMs = Math.min(3600, lifeSeconds / 3) * 1000
  let first = true
  const wait$ = defer(() => {
    const delay = first ? periodMs * options.random() : periodMs * (0.9 + 0.2 * options.random())
    first = false
    return timer(delay)
  })
  const ask$ = options.store.keepAlive$(lease.leaseId).pipe(
    map((left): LeaseState =>
      left > 0 ? { kind: 'owned', lease, remainingSeconds: left } : { kind: 'lost', lease },
    ),
    retryTold({
      baseMs: 300,
      capMs: Math.min(60_000, periodMs),
      random: options.random,
      tell: (fault): LeaseState => ({ kind: 'unsure', lease, fault }),
    }),
  )
  return wait$.pipe(
    concatMap(() => ask$),
    repeat(),
  )
}

/**
 * Emits when the record stream shows our key deleted, missing from a snapshot, under another host's name, or older than
 * what we wrote: etcd was restored, and peers follow a record of ours that is out of date.
 */
function disputed$(lease: Acquired, options: LeaseOptions): Observable<unknown> {
  return options.records$.pipe(
    filter((event) => event.kind === 'value' && !stillOurs(event.value, lease, options.me.node)),
    // Older than our claim, it may be outrun by it; or etcd was restored and counts from an earlier revision.
    concatMap((event) =>
      event.kind === 'value' && event.revision > lease.modRevision ? of(event) : confirmed$(lease, options),
    ),
    take(1),
  )
}

/** Emits if etcd, asked now, doesn't have our record under the key. */
function confirmed$(lease: Acquired, { store, me, random }: LeaseOptions): Observable<unknown> {
  return store.read$().pipe(
    filter(({ records }) => !stillOurs({ kind: 'snapshot', records }, lease, me.node)),
    retryBackoff({ baseMs: 200, capMs: 30_000, random, retries: Fault.is }),
  )
}

function stillOurs(event: RecordEvent, { key, modRevision }: Acquired, node: string): boolean {
  const isNews = event.kind === 'snapshot' || event.changes.some((change) => keyOf(change) === key)
  if (!isNews) return true
  const record = recordIn(event, key)
  return record !== undefined && nodeOf(record.value) === node && record.modRevision >= modRevision
}

const keyOf = (change: RecordChange): string => (change.kind === 'put' ? change.record.key : change.key)
