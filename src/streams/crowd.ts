import { concatMap, defer, type Observable, race, shareReplay, take, timer } from 'rxjs'
import type { LeaseStore } from '../ports/lease-store.ts'

/** A machine that has been up for less has booted, perhaps with all the others. */
const bootMs = 5 * 60_000
const longestMs = 60_000
const msForEachPeer = 60

/**
 * How long a host that knows its lease and its peers lets etcd rest after a power cut: up to a minute for each
 * thousand peers, a minute at most. An agent that is merely restarted doesn't wait.
 */
export const crowdDelayMs = (boot: {
  readonly uptimeMs: number
  readonly peers: number
  readonly random: number
}): number => (boot.uptimeMs > bootMs ? 0 : boot.random * Math.min(longestMs, boot.peers * msForEachPeer))

/** If the tables can't be read: the underlay may be away, and etcd may know why. */
const longestForTablesMs = 2000

interface Restart {
  /** The tables hold what the last run knew. */
  readonly placed$: Observable<unknown>
  readonly delayMs: number
}

/**
 * The same store, of which everything that a start asks begins only when the tables hold what the last run knew, and a
 * delay after that. Both need the one thread: whoever has peers to forward to forwards before it asks for news.
 */
export const afterTables = (store: LeaseStore, { placed$, delayMs }: Restart): LeaseStore => {
  const open$ = race(placed$, timer(longestForTablesMs)).pipe(
    take(1),
    concatMap(() => timer(delayMs)),
    shareReplay({ bufferSize: 1, refCount: false }),
  )
  return afterOpening(store, open$)
}

const afterOpening = (store: LeaseStore, open$: Observable<unknown>): LeaseStore => {
  let ipv6Only: LeaseStore | undefined
  const late$ = <T>(ask$: () => Observable<T>): Observable<T> => defer(() => open$.pipe(concatMap(ask$)))
  return {
    config$: late$(() => store.config$),
    records$: late$(() => store.records$),
    read$: () => late$(() => store.read$()),
    // These follow a read. Named one by one, since a spread would lose the methods of a class.
    grant$: (ttlSeconds) => store.grant$(ttlSeconds),
    keepAlive$: (leaseId) => store.keepAlive$(leaseId),
    revoke$: (leaseId) => store.revoke$(leaseId),
    claim$: (claim) => store.claim$(claim),
    release$: (key, modRevision) => store.release$(key, modRevision),
    cutFrom: (addresses) => store.cutFrom(addresses),
    putConfig$: (value, modRevision) => store.putConfig$(value, modRevision),
    get ipv6Only() {
      return (ipv6Only ??= afterOpening(store.ipv6Only, open$))
    },
  }
}
