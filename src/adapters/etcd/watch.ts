import type { IEvent, IKeyValue, IResponseHeader, IWatchResponse } from 'etcd3'
import {
  catchError,
  concat,
  defer,
  EMPTY,
  filter,
  ignoreElements,
  map,
  merge,
  mergeMap,
  NEVER,
  of,
  repeat,
  switchMap,
  throwError,
  timer,
  type MonoTypeOperatorFunction,
  type Observable,
} from 'rxjs'
import { Fault } from '../../core/fault.ts'
import type { StoreEvent } from '../../ports/lease-store.ts'
import { decorrelatedJitter } from './backoff.ts'
import type { Endpoint } from './endpoint.ts'
import type { EndpointPool } from './endpoint-pool.ts'
import { cancelledFault, toFault } from './faults.ts'
import { needs, request$ } from './request.ts'
import { readOn, snapshot$, type KeyRange } from './snapshot.ts'
import { watchStream$ } from './watch-stream.ts'

export type RangeEvent =
  | { readonly kind: 'snapshot'; readonly kvs: readonly IKeyValue[]; readonly audit: boolean }
  | { readonly kind: 'changes'; readonly events: readonly IEvent[] }

/** etcd catches up at 1,000 revisions per 100 ms, so that beyond this a new list is sooner there. */
const resumableGap = 3000

/** How far we have read, and in which incarnation of the cluster. */
interface Cursor {
  /** The first revision that we have not seen. Only events and idle progress notices move it. */
  next: number
  readonly clusterId: string
  raftTerm: number
}

/**
 * A range of keys: a snapshot, then every change in etcd's order, as etcd batched them. It survives whatever
 * happens: after a cut it resumes behind the last event, and where it can't (compaction, a wiped or restored
 * etcd, a gap too large) there is another snapshot. Never ends, never errors; faults are in-band, once for each
 * loss of the connection.
 */
export const watchRange$ = (
  pool: EndpointPool,
  range: KeyRange,
  auditMs = Infinity,
): Observable<StoreEvent<RangeEvent>> =>
  defer(() => {
    let audit = false
    const backoff = decorrelatedJitter(200, 5000)
    let cursor: Cursor | undefined

    const list$ = snapshot$(pool, range, { retries: 0 }).pipe(
      map(({ kvs, revision, header }): StoreEvent<RangeEvent> => {
        cursor = { next: revision + 1, clusterId: header.cluster_id, raftTerm: Number(header.raft_term) }
        return { kind: 'value', value: { kind: 'snapshot', kvs, audit }, revision }
      }),
    )
    const resume$ = defer(() =>
      cursor ? merge(session$(pool, range, cursor), audit$(auditMs)) : EMPTY,
    ).pipe(
      map((event) => {
        if (event.kind === 'connected') backoff.reset()
        return event
      }),
    )
    return defer(() => (cursor ? resume$ : concat(list$, resume$))).pipe(
      catchError((error: unknown) => {
        audit = error === timeForAudit
        if (audit) {
          cursor = undefined
          return EMPTY
        }
        const fault = toFault(error)
        // Unreachable members have a pace of their own, common to all that ask for one.
        const pauseMs = fault.code === 'etcd-unreachable' ? 200 : backoff.next()
        const pause$ = timer(pauseMs).pipe(ignoreElements())
        if (fault.code !== 'etcd-compacted')
          return concat(of({ kind: 'disconnected' as const, fault }), pause$)
        cursor = undefined
        return pause$
      }),
      repeat(),
      oncePerState(),
    )
  })

const timeForAudit = Symbol('time for an audit')

/** Spread over the hosts: half to one and a half times the period. */
const audit$ = (periodMs: number): Observable<never> =>
  periodMs === Infinity
    ? NEVER
    : timer(periodMs * (0.5 + Math.random())).pipe(mergeMap(() => throwError(() => timeForAudit)))

/** One watch. Errors with a Fault; `etcd-compacted` is the one that asks for a new snapshot. */
const session$ = (pool: EndpointPool, range: KeyRange, cursor: Cursor): Observable<StoreEvent<RangeEvent>> =>
  pool.turn$.pipe(switchMap((endpoint) => watchAt$(pool, endpoint, { range, cursor })))

interface Position {
  readonly range: KeyRange
  readonly cursor: Cursor
}

const watchAt$ = (
  pool: EndpointPool,
  endpoint: Endpoint,
  { range, cursor }: Position,
): Observable<StoreEvent<RangeEvent>> =>
  defer(() => {
    let fragments: IEvent[] = []

    const read$ = (response: IWatchResponse): Observable<StoreEvent<RangeEvent>> => {
      const { header, canceled, created, fragment } = response
      if (canceled)
        return throwError(() =>
          response.compact_revision === '0'
            ? cancelledFault(response.cancel_reason, endpoint.name)
            : resync(`revision ${cursor.next} is compacted`),
        )
      if (header.cluster_id !== cursor.clusterId)
        return throwError(() => resync('the cluster is another one'))
      if (created) pool.succeed(endpoint)
      if (created)
        return concat(of({ kind: 'connected' as const }), checkPosition$(pool, range, cursor, header))
      if (fragment) {
        fragments.push(...response.events)
        return EMPTY
      }
      const events = fragments.length === 0 ? response.events : fragments.concat(response.events)
      fragments = []
      return events.length === 0 ? progress$(header) : changes$(cursor, events)
    }
    // An idle range on a busy etcd would fall behind the compaction; a notice without events says "nothing missed".
    const progress$ = (header: IResponseHeader) => {
      const regressed = isBehind(cursor, header)
      if (!regressed) advance(cursor, header)
      return regressed ? confirmRegression$(pool, range, cursor) : EMPTY
    }
    return watchStream$(endpoint, range, cursor.next).pipe(
      mergeMap(read$),
      catchError((error: unknown) => throwError(() => pool.fail(endpoint, error))),
      needs(readOn(range)),
    )
  })

/** The revision in the header of a batch or of the creation is the store's, not ours: it never moves the cursor. */
const changes$ = (cursor: Cursor, events: readonly IEvent[]): Observable<StoreEvent<RangeEvent>> => {
  // A member that has just received a snapshot from its leader can send old events again (etcd #15271, #15275).
  const fresh = events.filter(({ kv }) => Number(kv.mod_revision) >= cursor.next)
  const last = fresh.at(-1)
  if (!last) return EMPTY
  const revision = Number(last.kv.mod_revision)
  cursor.next = revision + 1
  return of({ kind: 'value', value: { kind: 'changes', events: fresh }, revision })
}

const advance = (cursor: Cursor, header: IResponseHeader) => {
  cursor.next = Number(header.revision) + 1
  cursor.raftTerm = Math.max(cursor.raftTerm, Number(header.raft_term))
}

/** A wiped etcd starts again at revision 1 and term 2, often under the same cluster id. */
const isBehind = (cursor: Cursor, header: IResponseHeader) =>
  Number(header.revision) + 1 < cursor.next || Number(header.raft_term) < cursor.raftTerm

const checkPosition$ = (pool: EndpointPool, range: KeyRange, cursor: Cursor, header: IResponseHeader) => {
  if (isBehind(cursor, header)) return confirmRegression$(pool, range, cursor)
  const gap = Number(header.revision) + 1 - cursor.next
  return gap > resumableGap ? throwError(() => resync(`${gap} revisions to catch up`)) : EMPTY
}

/** A member that only lags behind the others is no reason to list: ten thousand hosts would, after every failover. */
const confirmRegression$ = (pool: EndpointPool, range: KeyRange, cursor: Cursor): Observable<never> =>
  request$(pool, ({ requests }) => requests.kv.range({ key: range.start, limit: 1 }), 0).pipe(
    mergeMap(({ header }) =>
      header.cluster_id !== cursor.clusterId || isBehind(cursor, header)
        ? throwError(() =>
            resync(`etcd went back to revision ${header.revision}, we know ${cursor.next - 1}`),
          )
        : EMPTY,
    ),
  )

const resync = (why: string): Fault => Fault.of('etcd-compacted', why)

/** Each loss of the connection once; and once more if it turns out, behind a dropped connection, to be a refusal. */
const oncePerState =
  <T>(): MonoTypeOperatorFunction<StoreEvent<T>> =>
  (source) =>
    defer(() => {
      let state: 'connected' | 'disconnected' | 'denied' | undefined
      return source.pipe(
        filter((event) => {
          if (event.kind === 'value') {
            if (state !== 'connected') state = undefined // it got through: what fails next is news again
            return true
          }
          const denied = event.kind === 'disconnected' && event.fault.code === 'etcd-denied'
          const next = denied ? 'denied' : event.kind
          const changed = next !== state && !(state === 'denied' && next === 'disconnected')
          if (changed) state = next
          return changed
        }),
      )
    })
