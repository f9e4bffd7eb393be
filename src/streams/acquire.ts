import {
  catchError,
  concat,
  concatMap,
  defer,
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
  type AllocationView,
  type Candidate,
  isTaken,
  keptCandidates,
  sharedAddressFault,
  staticCandidate,
} from '../core/overlay/allocation.ts'
import { isUnused, list, ownAmong } from '../core/overlay/listed-records.ts'
import { type OwnIdentity, type OwnLease, printPublicIp } from '../core/overlay/own.ts'
import { ownRecord } from '../core/overlay/own-record.ts'
import { encodeRecord, nodeOf, type StoredRecord, type SubnetKey } from '../core/overlay/record.ts'
import { reservationFor } from '../core/overlay/reservation.ts'
import { parseSubnetKey, printSubnetKey, printSubnets } from '../core/overlay/subnet-key.ts'
import type { LeaseStore, StoreView } from '../ports/lease-store.ts'
import type { Network } from './network.ts'

type Records = Pick<StoreView, 'records'>

/** A subnet that etcd says is ours. */
export interface Acquired extends OwnLease {
  readonly modRevision: number
  /** Life that etcd gave the lease at that moment; undefined for a reservation, which has none. */
  readonly remainingSeconds: number | undefined
  /** What it took: an untouched record of ours, or a write. */
  readonly did: 'adopted' | 'claimed'
  /** Why it is not the subnet that `--subnet` names. */
  readonly instead: Fault | undefined
}

/** The subnet that the operator names for this host. */
export interface WantedSubnet {
  readonly subnets: SubnetKey
  /** At start: a host that holds another moves there. Later it keeps what its containers run with. */
  readonly mayRenumber: boolean
}

export interface AcquireOptions {
  readonly store: LeaseStore
  /** The records to choose by. They may be a moment old: each claim is guarded by the revision of its key. */
  readonly view$: Observable<Records>
  readonly network: Network
  readonly me: OwnIdentity
  /** Key that it forwards for, or did in its last run. */
  readonly held: string | undefined
  /** Key that flannel's `subnet.env` names. */
  readonly previous: string | undefined
  readonly wanted: WantedSubnet | undefined
  /** The only key that will do: without it the attempt fails with `lease-conflict`. */
  readonly insist: string | undefined
  readonly ttlSeconds: number
  readonly random: () => number
}

/**
 * One attempt at a subnet: own record, the one held, reservation, previous subnet, any free one; or the one wanted.
 * Each by compare-and-swap, so that a lost race is simply the next candidate. An untouched record on a live lease is
 * adopted without a write. Errors with a transient {@link Fault} when another attempt may succeed.
 */
export const acquire$ = (options: AcquireOptions): Observable<Acquired> =>
  options.view$.pipe(
    concatMap((view) => {
      const { me, wanted } = options
      const shared = sharedAddressFault(view.records, me)
      if (shared) return throwError(() => shared)
      const allocation = allocationView(options, view)
      const from$: FromCandidates = (candidates, insist) =>
        new Attempt({ ...options, insist: insist ?? options.insist }, view, candidates).run$()
      const lease$ = wanted
        ? takeWanted$(wanted, allocation, from$)
        : from$(allocationCandidates(allocation)[Symbol.iterator]())
      return lease$.pipe(concatMap((lease) => concat(of(lease), dropOthers$(options, view, lease))))
    }),
  )

type FromCandidates = (candidates: Iterator<Candidate, undefined>, insist?: string) => Observable<Acquired>

const allocationView = ({ network, me, random, ...keys }: AcquireOptions, view: Records): AllocationView => {
  const parse = (key: string | undefined) => (key === undefined ? undefined : parseSubnetKey(key))
  const { config } = network
  return { config, records: view.records, me, held: parse(keys.held), previous: parse(keys.previous), random }
}

/** The wanted subnet and no other; but a host whose containers run with another keeps that rather than none. */
function takeWanted$(
  { subnets, mayRenumber }: WantedSubnet,
  view: AllocationView,
  from$: FromCandidates,
): Observable<Acquired> {
  const wanted = staticCandidate(view, subnets)
  const key = printSubnetKey(subnets)
  const kept = keptCandidates(view)
  const others = kept.filter(({ keyText }) => keyText !== key)
  const keep$ = (instead: Fault): Observable<Acquired> =>
    others.length === 0
      ? throwError(() => instead)
      : from$(others.values()).pipe(
          map((lease) => ({ ...lease, instead })),
          catchError((error: unknown) => throwError(() => (isExhausted(error) ? instead : error))),
        )
  if (Fault.is(wanted)) return keep$(wanted)
  if (!mayRenumber && kept.length > 0 && kept.length === others.length) return keep$(freeNow(subnets))
  return from$([wanted].values(), key).pipe(
    catchError((error: unknown) =>
      Fault.is(error) && !error.transient ? keep$(error) : throwError(() => error),
    ),
  )
}

const isExhausted = (error: unknown): boolean => Fault.is(error) && error.code === 'subnets-exhausted'

const freeNow = (subnets: SubnetKey): Fault =>
  Fault.of(
    'lease-conflict',
    `--subnet is ${printSubnets(subnets)}, which is free now: restart the agent to move there`,
  )

/** One acquisition: the candidates in order, and at most one new etcd lease, given back when none is won. */
class Attempt {
  readonly #options: AcquireOptions
  readonly #value: string
  readonly #byKey: ReadonlyMap<string, StoredRecord>
  readonly #candidates: Iterator<Candidate, undefined>
  readonly #newLease$: Observable<string>
  #granted: string | undefined

  constructor(options: AcquireOptions, view: Records, candidates: Iterator<Candidate, undefined>) {
    const { me, network } = options
    this.#options = options
    this.#value = encodeRecord(ownRecord(me, network.config.backend))
    this.#byKey = new Map(view.records.map((record) => [record.key, record]))
    this.#candidates = candidates
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
    const remedy = this.#options.wanted
      ? 'delete its record, or name another with --subnet'
      : 'delete its record, or choose --on-conflict renumber'
    return Fault.of('lease-conflict', `subnet ${key} is held by ${owner}: ${remedy}`)
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
    const lease = { key, ...subnets, ...hook, instead: undefined }
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
              return this.#unlessTaken$(candidate, {
                ...lease,
                modRevision: result.modRevision,
                did: 'claimed',
              })
            case 'taken':
              return this.#next$()
            case 'config-changed':
              return throwError(() => Fault.of('config-changed'))
          }
        }),
      )
  }

  /** Half of a pair may have gone to another host since the view was taken; flannel never looks. */
  #unlessTaken$({ key, guardModRevision }: Candidate, lease: Acquired): Observable<Acquired> {
    if (guardModRevision !== 0 || !key.subnet || !key.subnet6) return of(lease)
    const { store, me } = this.#options
    return store.read$().pipe(
      concatMap(({ records }) => {
        if (!isTaken(records, me, { key, created: { createRevision: lease.modRevision } })) return of(lease)
        return concat(
          store.release$(lease.key, lease.modRevision).pipe(ignoreElements()),
          defer(() => this.#next$()),
        )
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

/**
 * Records of ours that are left from an earlier subnet, flannel's on this host too: peers should see one of each host.
 * A reservation stays, as the operator wrote it.
 */
function dropOthers$({ store, me }: AcquireOptions, view: Records, lease: Acquired): Observable<never> {
  const drops = ownAmong(view.records.flatMap(list), me).flatMap(
    ({ stored, record }): readonly Observable<unknown>[] => {
      const { key, modRevision, leaseId } = stored
      if (key === lease.key || isUnused({ stored, record })) return []
      if (leaseId !== '0') return [store.release$(key, modRevision)]
      const value = encodeRecord(reservationFor(record))
      return [store.claim$({ key, value, leaseId, modRevision, configRevision: undefined })]
    },
  )
  return merge(...drops).pipe(
    ignoreElements(),
    catchError(() => EMPTY),
  )
}
