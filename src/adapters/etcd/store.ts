import { map, retry, Subject, switchMap, takeUntil, throwError, timer, type Observable } from 'rxjs'
import { Ip } from '../../core/net/ip.ts'
import type { LeaseStore, StoreEvent, StoreView } from '../../ports/lease-store.ts'
import { parseEndpoints } from './endpoint-address.ts'
import { openPool, type EndpointPool } from './endpoint-pool.ts'
import type { Login, TlsFiles } from './endpoint.ts'
import { toFault } from './faults.ts'
import { grant$, keepAlive$, revoke$ } from './lease.ts'
import {
  configEvent,
  keysBelow,
  keysOfIpv6Only,
  recordEvent,
  storedConfig,
  storedRecord,
  type Keys,
} from './record.ts'
import { needs, request$ } from './request.ts'
import { prefixRange, snapshot$ } from './snapshot.ts'
import { claim$, putConfig$, release$ } from './transaction.ts'
import { watchRange$ } from './watch.ts'

export interface LeaseStoreOptions {
  /** As flannel's `--etcd-endpoints`: `http://192.0.2.1:2379,https://192.0.2.2:2379`, or a list of such. */
  readonly endpoints: string | readonly string[]
  /** `/coreos.com/network` */
  readonly prefix: string
  readonly tls?: Partial<TlsFiles> | undefined
  readonly login?: Login | undefined
  /** New certificates, whenever the files have changed. */
  readonly renewals$?: Observable<Partial<TlsFiles>>
  /** How often the records are listed although the watch goes on, to find what it might have missed. */
  readonly auditMs?: number
}

/** Longer than etcd needs for an election; a member that takes longer is given up for the next one. */
const deadlineMs = 4000

/**
 * etcd as a {@link LeaseStore}. Connects when something is subscribed; errors of requests are Faults. Throws a
 * RangeError that names an endpoint which cannot be read. After `close()` every stream is complete and nothing keeps the process.
 */
export const openLeaseStore = (options: LeaseStoreOptions): LeaseStore & { close(): void } => {
  const addresses = parseEndpoints(options.endpoints)
  if ('bad' in addresses) throw new RangeError(`not an etcd endpoint: '${addresses.bad}'`)
  const pool = openPool(addresses, { deadlineMs, login: options.login, tls: tlsFiles(options.tls) })
  const closed$ = new Subject<void>()
  options.renewals$?.pipe(takeUntil(closed$)).subscribe({
    next: (tls) => pool.renew(tlsFiles(tls)),
    error: (error: unknown) => closed$.error(error),
  })
  const { prefix, auditMs } = options
  return {
    ...storeOn({ pool, keys: keysBelow(prefix), auditMs, closed$ }),
    ipv6Only: storeOn({ pool, keys: keysOfIpv6Only(prefix), auditMs, closed$ }),
    close: () => {
      closed$.next()
      pool.close()
    },
  }
}

interface StoreParts {
  readonly pool: EndpointPool
  readonly keys: Keys
  readonly auditMs: number | undefined
  readonly closed$: Observable<void>
}

const storeOn = ({ pool, keys, auditMs, closed$ }: StoreParts): LeaseStore => {
  const open$ = <T>(stream$: Observable<T>) => stream$.pipe(takeUntil(closed$))
  const skip = Buffer.byteLength(keys.subnets)
  const store: LeaseStore = {
    config$: open$(
      watchRange$(pool, { start: Buffer.from(keys.config), end: undefined }).pipe(mapValue(configEvent)),
    ),
    records$: open$(
      watchRange$(pool, prefixRange(keys.subnets), auditMs).pipe(
        mapValue((event) => recordEvent(event, skip)),
      ),
    ),
    read$: () => open$(view$(pool, keys)),
    grant$: (ttlSeconds) => open$(grant$(pool, ttlSeconds)),
    keepAlive$: (leaseId) => open$(keepAlive$(pool, leaseId, deadlineMs)),
    revoke$: (leaseId) => open$(revoke$(pool, leaseId)),
    claim$: (claim) => open$(claim$(pool, keys, claim)),
    release$: (key, modRevision) => open$(release$(pool, keys, { key, modRevision })),
    cutFrom: (ips) => pool.cutFrom(ips.map(Ip.print)),
    putConfig$: (value, modRevision) => open$(putConfig$(pool, keys, { value, modRevision })),
    get ipv6Only() {
      return store
    },
  }
  return store
}

/** Configuration and records at one revision; started again if that revision is compacted while it is read. */
const view$ = (pool: EndpointPool, keys: Keys): Observable<StoreView> =>
  request$(pool, ({ requests }) => requests.kv.range({ key: Buffer.from(keys.config) })).pipe(
    needs(`read on ${keys.config}`),
    switchMap(({ kvs, header }) =>
      snapshot$(pool, prefixRange(keys.subnets), { revision: Number(header.revision) }).pipe(
        map((snapshot) => ({
          config: storedConfig(kvs[0]),
          records: snapshot.kvs.map((kv) => storedRecord(kv, Buffer.byteLength(keys.subnets))),
          revision: snapshot.revision,
        })),
      ),
    ),
    retry({
      count: 3,
      delay: (error: unknown) =>
        toFault(error).code === 'etcd-compacted' ? timer(0) : throwError(() => error),
    }),
  )

const mapValue = <T, R>(project: (value: T) => R) =>
  map((event: StoreEvent<T>): StoreEvent<R> =>
    event.kind === 'value' ? { ...event, value: project(event.value) } : event,
  )

const tlsFiles = (tls: Partial<TlsFiles> | undefined): TlsFiles | undefined =>
  tls && (tls.ca ?? tls.cert ?? tls.key) ? { ca: tls.ca, cert: tls.cert, key: tls.key } : undefined
