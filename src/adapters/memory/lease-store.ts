import { concatMap, defer, delay, map, merge, type Observable, of, Subject, throwError, timer } from 'rxjs'
import { Fault } from '../../core/fault.ts'
import type { StoredRecord } from '../../core/overlay/record.ts'
import type {
  Claim, ClaimResult, LeaseStore, RecordChange, RecordEvent, StoredConfig, StoreEvent, StoreView,
} from '../../ports/lease-store.ts' // prettier-ignore

interface LogEntry {
  readonly revision: number
  readonly change: RecordChange
}

/** Requests that can be made to fail. */
export type StoreRequest =
  'read$' | 'grant$' | 'keepAlive$' | 'revoke$' | 'claim$' | 'release$' | 'putConfig$'

export interface MemoryLeaseStoreOptions {
  /** Between a request and its answer, and between a change and its news. */
  readonly latencyMs?: number
}

/**
 * etcd in a log with revisions: leases, compare-and-swap, watches that resume behind the last event and get a
 * snapshot where that is compacted. Leases end when {@link expire} says so.
 */
export class MemoryLeaseStore implements LeaseStore {
  readonly #latencyMs: number
  readonly #records = new Map<string, StoredRecord>()
  readonly #ttlByLease = new Map<string, number>()
  readonly #changed$ = new Subject<void>()
  readonly #failures: { readonly request: StoreRequest; readonly fault: Fault }[] = []
  #log: readonly LogEntry[] = []
  #config: StoredConfig | undefined
  #revision = 1
  #compacted = 0
  #nextLease = 1000
  #reachable = true

  readonly records$: Observable<StoreEvent<RecordEvent>> = this.#watch$(() => {
    let cursor: number | undefined
    return () => {
      const next =
        cursor === undefined || cursor < this.#compacted ? this.#snapshot() : this.#changesAfter(cursor)
      cursor = this.#revision
      return next
    }
  })
  readonly config$: Observable<StoreEvent<StoredConfig | undefined>> = this.#watch$(() => {
    let seen: StoredConfig | 'nothing yet' | undefined = 'nothing yet'
    return () => {
      if (seen === this.#config) return []
      seen = this.#config
      return [{ kind: 'value', value: seen, revision: this.#revision }]
    }
  })

  /** One map serves both: a key tells by itself of which kind of network it is. */
  readonly ipv6Only = this

  constructor({ latencyMs = 1 }: MemoryLeaseStoreOptions = {}) {
    this.#latencyMs = latencyMs
  }

  get revision(): number {
    return this.#revision
  }
  get records(): readonly StoredRecord[] {
    return [...this.#records.values()].sort((a, b) => (a.key < b.key ? -1 : 1))
  }
  get config(): StoredConfig | undefined {
    return this.#config
  }
  get leases(): readonly string[] {
    return [...this.#ttlByLease.keys()]
  }

  read$(): Observable<StoreView> {
    return this.#request$('read$', () => {
      const { config, records, revision } = this
      return { config, records, revision }
    })
  }

  grant$(ttlSeconds: number): Observable<string> {
    return this.#request$('grant$', () => {
      const id = String(this.#nextLease++)
      this.#ttlByLease.set(id, ttlSeconds)
      return id
    })
  }
  keepAlive$(leaseId: string): Observable<number> {
    return this.#request$('keepAlive$', () => this.#ttlByLease.get(leaseId) ?? 0)
  }
  revoke$(leaseId: string): Observable<void> {
    return this.#request$('revoke$', () => this.expire(leaseId))
  }

  claim$({ key, value, leaseId, modRevision, configRevision }: Claim): Observable<ClaimResult> {
    return this.#request$('claim$', () => {
      if (configRevision !== undefined && configRevision !== (this.#config?.modRevision ?? 0))
        return { kind: 'config-changed' }
      const record = this.#records.get(key)
      if (modRevision !== (record?.modRevision ?? 0)) return { kind: 'taken', record }
      if (leaseId !== '0' && !this.#ttlByLease.has(leaseId))
        return Fault.of('etcd-refused', 'etcdserver: requested lease not found')
      return { kind: 'claimed', modRevision: this.put(key, value, leaseId) }
    })
  }
  release$(key: string, modRevision: number): Observable<void> {
    return this.#request$('release$', () => {
      if (this.#records.get(key)?.modRevision === modRevision) this.delete(key)
    })
  }
  /** Nothing is in between. */
  readonly cutFrom: LeaseStore['cutFrom'] = () => undefined
  putConfig$(value: string, modRevision: number | undefined): Observable<'written' | 'changed-meanwhile'> {
    return this.#request$('putConfig$', () => {
      if (modRevision !== undefined && modRevision !== (this.#config?.modRevision ?? 0))
        return 'changed-meanwhile'
      this.writeConfig(value)
      return 'written'
    })
  }

  // What others do to an etcd.

  /** Writes a record unconditionally; its revision. */
  put(key: string, value: string, leaseId = '0'): number {
    const modRevision = ++this.#revision
    const createRevision = this.#records.get(key)?.createRevision ?? modRevision
    const record = { key, value, createRevision, modRevision, leaseId }
    this.#records.set(key, record)
    this.#append({ kind: 'put', record })
    return modRevision
  }

  delete(key: string): void {
    if (!this.#records.delete(key)) return
    this.#revision++
    this.#append({ kind: 'delete', key })
  }

  writeConfig(value: string | undefined): void {
    const modRevision = ++this.#revision
    this.#config = value === undefined ? undefined : { value, modRevision }
    this.#changed$.next()
  }

  /** The lease ends, and its records with it. */
  expire(leaseId: string): void {
    this.#ttlByLease.delete(leaseId)
    for (const { key } of this.records.filter((record) => record.leaseId === leaseId)) this.delete(key)
  }

  /** Whoever has not followed so far gets a snapshot. */
  compact(): void {
    this.#compacted = this.#revision
    this.#log = []
  }

  /** Watches hear nothing, requests fail. */
  disconnect(): void {
    this.#reachable = false
    this.#changed$.next()
  }
  connect(): void {
    this.#reachable = true
    this.#changed$.next()
  }

  /** The next request of that kind fails. */
  failNext(request: StoreRequest, fault: Fault): void {
    this.#failures.push({ request, fault })
  }

  #append(change: RecordChange): void {
    this.#log = [...this.#log, { revision: this.#revision, change }]
    this.#changed$.next()
  }

  #snapshot(): readonly StoreEvent<RecordEvent>[] {
    const value: RecordEvent = { kind: 'snapshot', records: this.records }
    return [{ kind: 'value', value, revision: this.#revision }]
  }

  #changesAfter(cursor: number): readonly StoreEvent<RecordEvent>[] {
    const entries = this.#log.filter(({ revision }) => revision > cursor)
    const last = entries.at(-1)
    if (!last) return []
    const value: RecordEvent = { kind: 'changes', changes: entries.map(({ change }) => change) }
    return [{ kind: 'value', value, revision: last.revision }]
  }

  /** One watch: news when there are any, and the state of the connection once per change. */
  #watch$<T>(open: () => () => readonly StoreEvent<T>[]): Observable<StoreEvent<T>> {
    return defer(() => {
      const next = open()
      let connected: boolean | undefined
      return merge(of(undefined), this.#changed$).pipe(
        delay(this.#latencyMs),
        concatMap((): readonly StoreEvent<T>[] => {
          const changed = connected !== this.#reachable
          connected = this.#reachable
          if (connected) return [...next(), ...(changed ? [{ kind: 'connected' } as const] : [])]
          return changed ? [{ kind: 'disconnected', fault: Fault.of('etcd-unreachable') }] : []
        }),
      )
    })
  }

  /** Acts when the request arrives, and answers as long again after that. */
  #request$<T>(request: StoreRequest, run: () => T | Fault): Observable<T> {
    return timer(this.#latencyMs).pipe(
      map(() => this.#faultFor(request) ?? run()),
      delay(this.#latencyMs),
      concatMap((result) => (Fault.is(result) ? throwError(() => result) : of(result))),
    )
  }

  #faultFor(request: StoreRequest): Fault | undefined {
    const at = this.#failures.findIndex((failure) => failure.request === request)
    const [failure] = at < 0 ? [] : this.#failures.splice(at, 1)
    return failure?.fault ?? (this.#reachable ? undefined : Fault.of('etcd-unreachable'))
  }
}
