import {
  catchError,
  concat,
  concatMap,
  defer,
  EMPTY,
  ignoreElements,
  map,
  type Observable,
  of,
  shareReplay,
  throwError,
} from 'rxjs'
import { Fault } from '../core/fault.ts'
import { allocationCandidates, type Candidate, sharedAddressFault } from '../core/overlay/allocation.ts'
import type { OwnIdentity, OwnLease } from '../core/overlay/own.ts'
import { ownRecord } from '../core/overlay/own-record.ts'
import { encodeRecord } from '../core/overlay/record.ts'
import type { StoredRecord } from '../core/overlay/record.ts'
import { parseSubnetKey } from '../core/overlay/subnet-key.ts'
import type { LeaseStore, StoreView } from '../ports/lease-store.ts'
import type { Network } from './network.ts'

/** A subnet that etcd says is ours. */
export interface Acquired extends OwnLease {
  readonly modRevision: number
  /** What it took: an untouched record of ours, or a write. */
  readonly did: 'adopted' | 'claimed'
}

export interface AcquireOptions {
  readonly store: LeaseStore
  readonly network: Network
  readonly me: OwnIdentity
  /** Key that this host held last. */
  readonly previous: string | undefined
  readonly ttlSeconds: number
  readonly random: () => number
}

/**
 * One attempt at a subnet: own record, previous subnet, reservation, any free one; each by compare-and-swap, so
 * that a lost race is simply the next candidate. An untouched record on a live lease is adopted without a write.
 * Errors with a transient {@link Fault} when another attempt may succeed.
 */
export const acquire$ = (options: AcquireOptions): Observable<Acquired> =>
  options.store.read$().pipe(
    concatMap((view) => {
      const shared = sharedAddressFault(view.records, options.me)
      return shared ? throwError(() => shared) : claimFirst$(options, view)
    }),
  )

function claimFirst$(options: AcquireOptions, view: StoreView): Observable<Acquired> {
  const { store, me, network } = options
  const value = encodeRecord(ownRecord(me, network.config.backend))
  const byKey = new Map(view.records.map((record) => [record.key, record]))
  const newLease$ = store.grant$(options.ttlSeconds).pipe(shareReplay(1))
  let granted: string | undefined
  const candidates = allocationCandidates({
    config: network.config,
    records: view.records,
    me,
    previous: options.previous === undefined ? undefined : parseSubnetKey(options.previous),
    random: options.random,
  })[Symbol.iterator]()

  const next$ = (): Observable<Acquired> => {
    const { value: candidate, done } = candidates.next() as IteratorResult<Candidate, undefined>
    if (done) return throwError(() => Fault.of('subnets-exhausted'))
    const standing = byKey.get(candidate.keyText)
    return leaseFor$(candidate, standing).pipe(concatMap((leaseId) => take$(candidate, standing, leaseId)))
  }

  const leaseFor$ = (candidate: Candidate, standing: StoredRecord | undefined): Observable<string> => {
    if (candidate.kind === 'reservation') return of('0')
    const fresh$ = newLease$.pipe(map((id) => (granted = id)))
    if (candidate.kind !== 'own' || !standing) return fresh$
    return store
      .keepAlive$(standing.leaseId)
      .pipe(concatMap((left) => (left > 0 ? of(standing.leaseId) : fresh$)))
  }

  const take$ = (
    candidate: Candidate,
    standing: StoredRecord | undefined,
    leaseId: string,
  ): Observable<Acquired> => {
    const { keyText: key, key: subnets } = candidate
    const lease = { key, ...subnets, leaseId }
    if (standing?.value === value && standing.leaseId === leaseId)
      return of({ ...lease, modRevision: standing.modRevision, did: 'adopted' as const })
    const configRevision = network.current ? network.stored.modRevision : undefined
    return store
      .claim$({ key, value, leaseId, modRevision: candidate.guardModRevision, configRevision })
      .pipe(
        concatMap((result) => {
          switch (result.kind) {
            case 'claimed':
              return of({ ...lease, modRevision: result.modRevision, did: 'claimed' as const })
            case 'taken':
              return next$()
            case 'config-changed':
              return throwError(() =>
                Fault.of('etcd-compacted', 'the network configuration changed during the allocation'),
              )
          }
        }),
      )
  }

  const giveBack$ = defer(() => (granted === undefined ? EMPTY : store.revoke$(granted)))
  return next$().pipe(
    catchError((error: unknown) =>
      concat(
        giveBack$.pipe(
          ignoreElements(),
          catchError(() => EMPTY),
        ),
        throwError(() => error),
      ),
    ),
  )
}
