import {
  catchError,
  concat,
  concatMap,
  EMPTY,
  ignoreElements,
  map,
  merge,
  type Observable,
  of,
  shareReplay,
  tap,
  throwError,
} from 'rxjs'
import { Fault } from '../core/fault.ts'
import {
  allocationCandidates,
  type Candidate,
  recordsNaming,
  sharedAddressFault,
} from '../core/overlay/allocation.ts'
import { type OwnIdentity, type OwnLease, printPublicIp } from '../core/overlay/own.ts'
import { ownRecord } from '../core/overlay/own-record.ts'
import { encodeRecord, nodeOf, type StoredRecord } from '../core/overlay/record.ts'
import { parseSubnetKey } from '../core/overlay/subnet-key.ts'
import type { LeaseStore, StoreView } from '../ports/lease-store.ts'
import type { Network } from './network.ts'

/** A subnet that etcd says is ours. */
export interface Acquired extends OwnLease {
  readonly modRevision: number
  /** Life that etcd gave the lease at that moment; undefined for a reservation, which has none. */
  readonly remainingSeconds: number | undefined
  /** What it took: an untouched record of ours, or a write. */
  readonly did: 'adopted' | 'claimed'
}

export interface AcquireOptions {
  readonly store: LeaseStore
  /** The records to choose by. They may be a moment old: each claim is guarded by the revision of its key. */
  readonly view$: Observable<Pick<StoreView, 'records'>>
  readonly network: Network
  readonly me: OwnIdentity
  /** Key that this host held last. */
  readonly previous: string | undefined
  /** The only key that will do: without it the attempt fails with `lease-conflict`. */
  readonly insist: string | undefined
  readonly ttlSeconds: number
  readonly random: () => number
}

/**
 * One attempt at a subnet: own record, previous subnet, reservation, any free one; each by compare-and-swap, so
 * that a lost race is simply the next candidate. An untouched record on a live lease is adopted without a write.
 * Errors with a transient {@link Fault} when another attempt may succeed.
 */
export const acquire$ = (options: AcquireOptions): Observable<Acquired> =>
  options.view$.pipe(
    concatMap((view) => {
      const shared = sharedAddressFault(view.records, options.me)
      if (shared) return throwError(() => shared)
      const attempt = new Attempt(options, view)
      return attempt.run$().pipe(concatMap((lease) => concat(of(lease), dropOthers$(options, view, lease))))
    }),
  )

/** One acquisition: the candidates in order, and at most one new etcd lease, given back when none is won. */
class Attempt {
  readonly #options: AcquireOptions
  readonly #value: string
  readonly #byKey: ReadonlyMap<string, StoredRecord>
  readonly #candidates: Iterator<Candidate, undefined>
  readonly #newLease$: Observable<string>
  #granted: string | undefined

  constructor(options: AcquireOptions, view: Pick<StoreView, 'records'>) {
    const { me, network, random, previous } = options
    this.#options = options
    this.#value = encodeRecord(ownRecord(me, network.config.backend))
    this.#byKey = new Map(view.records.map((record) => [record.key, record]))
    const before = previous === undefined ? undefined : parseSubnetKey(previous)
    const { config } = network
    this.#candidates = allocationCandidates({ config, records: view.records, me, previous: before, random })
    this.#newLease$ = options.store.grant$(options.ttlSeconds).pipe(
      tap((id) => (this.#granted = id)),
      shareReplay({ bufferSize: 1, refCount: false }),
    )
  }

  run$(): Observable<Acquired> {
    return this.#next$().pipe(
      catchError((error: unknown) =>
        concat(
          this.#giveBack$(),
          throwError(() => error),
        ),
      ),
    )
  }

  #next$(): Observable<Acquired> {
    const { value: candidate } = this.#candidates.next()
    const { insist } = this.#options
    if (insist !== undefined && candidate?.keyText !== insist) return throwError(() => this.#conflict(insist))
    if (!candidate) return throwError(() => Fault.of('subnets-exhausted'))
    return this.#leaseFor$(candidate).pipe(concatMap((hook) => this.#take$(candidate, hook)))
  }

  #conflict(key: string): Fault {
    const owner = nodeOf(this.#byKey.get(key)?.value ?? '') ?? 'another host'
    return Fault.of(
      'lease-conflict',
      `subnet ${key} is held by ${owner}: delete its record, or choose --on-conflict renumber`,
    )
  }

  /** A reservation has none and stays so; an own record keeps the one that it hangs on, while etcd knows it. */
  #leaseFor$({ kind, keyText }: Candidate): Observable<Hook> {
    if (kind === 'reservation') return of({ leaseId: '0', remainingSeconds: undefined })
    const { store, ttlSeconds } = this.#options
    const fresh$ = this.#newLease$.pipe(map((leaseId) => ({ leaseId, remainingSeconds: ttlSeconds })))
    const standing = this.#byKey.get(keyText)
    if (kind !== 'own' || !standing) return fresh$
    const { leaseId } = standing
    const left$ = store.keepAlive$(leaseId)
    return left$.pipe(concatMap((left) => (left > 0 ? of({ leaseId, remainingSeconds: left }) : fresh$)))
  }

  #take$(candidate: Candidate, hook: Hook): Observable<Acquired> {
    const { keyText: key, key: subnets, guardModRevision } = candidate
    const { store, network } = this.#options
    const { leaseId } = hook
    const lease = { key, ...subnets, ...hook }
    const standing = this.#byKey.get(key)
    if (standing?.value === this.#value && standing.leaseId === leaseId)
      return of({ ...lease, modRevision: standing.modRevision, did: 'adopted' })
    const configRevision = network.current ? network.stored.modRevision : undefined
    return store
      .claim$({ key, value: this.#value, leaseId, modRevision: guardModRevision, configRevision })
      .pipe(
        catchError((error: unknown) => throwError(() => this.#refused(error, candidate))),
        concatMap((result): Observable<Acquired> => {
          switch (result.kind) {
            case 'claimed':
              return of({ ...lease, modRevision: result.modRevision, did: 'claimed' })
            case 'taken':
              return this.#next$()
            case 'config-changed':
              return throwError(() =>
                Fault.of('config-missing', 'the network configuration changed during the allocation'),
              )
          }
        }),
      )
  }

  /** The free subnet was drawn by lot: a permission for that very key is not what the operator should hear of. */
  #refused(error: unknown, { kind }: Candidate): unknown {
    if (!Fault.is(error) || error.code !== 'etcd-denied' || kind !== 'free') return error
    const ip = printPublicIp(this.#options.me)
    return Fault.of(
      'etcd-denied',
      'the etcd user may not take a free subnet, and none is assigned to this host: ' +
        `write a reservation for ${ip}, or grant readwrite on <prefix>/subnets/ and all keys below`,
    )
  }

  #giveBack$(): Observable<never> {
    if (this.#granted === undefined) return EMPTY
    return this.#options.store.revoke$(this.#granted).pipe(
      ignoreElements(),
      catchError(() => EMPTY), // it ends by itself
    )
  }
}

/** The etcd lease that a record hangs on. */
type Hook = Pick<Acquired, 'leaseId' | 'remainingSeconds'>

/** Records of ours that are left from an earlier subnet: peers should see one of each host. */
function dropOthers$(
  options: AcquireOptions,
  view: Pick<StoreView, 'records'>,
  lease: Acquired,
): Observable<never> {
  const others = recordsNaming(view.records, options.me).filter(
    (r) => r.key !== lease.key && r.leaseId !== '0',
  )
  return merge(...others.map((r) => options.store.release$(r.key, r.modRevision))).pipe(
    ignoreElements(),
    catchError(() => EMPTY),
  )
}
