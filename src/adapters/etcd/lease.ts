import { randomBytes } from 'node:crypto'
import { catchError, defer, from, map, Observable, of, switchMap, throwError } from 'rxjs'
import type { EndpointPool } from './endpoint-pool.ts'
import type { Endpoint } from './endpoint.ts'
import { isLeaseExisting, toFault } from './faults.ts'
import { request$ } from './request.ts'

/**
 * A new lease; emits its id. The id is ours to choose, so that a grant whose answer was lost is met again by its
 * retry, and does not stay behind for its 24 hours.
 */
export const grant$ = (pool: EndpointPool, ttlSeconds: number): Observable<string> =>
  defer(() => {
    const leaseId = newLeaseId()
    return request$(pool, async ({ requests }, attempt) => {
      try {
        await requests.leaseClient.leaseGrant({ ID: leaseId, TTL: ttlSeconds })
      } catch (error) {
        if (attempt === 0 || !isLeaseExisting(error)) throw error
      }
      return leaseId
    })
  })

/** 62 random bits: positive as etcd's int64, and never 0, which is "no lease". */
const newLeaseId = () => String((randomBytes(8).readBigUInt64BE() >> 2n) | 1n)

/** One keep-alive; emits the seconds that remain, 0 when etcd does not know the lease. */
export const keepAlive$ = (pool: EndpointPool, leaseId: string, deadlineMs: number): Observable<number> =>
  request$(pool, (endpoint) => keepAliveOnce$(endpoint, leaseId, deadlineMs)).pipe(
    catchError((error: unknown) => (toFault(error).code === 'lease-lost' ? of(0) : throwError(() => error))),
  )

/** etcd has keep-alive only as a stream: one question, one answer, and a limit that etcd3 would not set. */
const keepAliveOnce$ = ({ requests }: Endpoint, leaseId: string, deadlineMs: number): Observable<number> =>
  from(requests.leaseClient.leaseKeepAlive({ deadline: Date.now() + deadlineMs })).pipe(
    switchMap(
      (stream) =>
        new Observable<number>((subscriber) => {
          stream.on('data', ({ TTL }) => {
            subscriber.next(Math.max(0, Number(TTL)))
            subscriber.complete()
          })
          stream.on('error', (error) => subscriber.error(error))
          stream.on('end', () => subscriber.error(new Error('14 UNAVAILABLE: the keep-alive stream ended')))
          subscriber.add(() => {
            stream.end()
            stream.cancel()
          })
          stream.write({ ID: leaseId })
        }),
    ),
  )

/** A lease that is gone already is as good as revoked. */
export const revoke$ = (pool: EndpointPool, leaseId: string): Observable<void> =>
  request$(pool, ({ requests }) => requests.leaseClient.leaseRevoke({ ID: leaseId })).pipe(
    map(() => undefined),
    catchError((error: unknown) =>
      toFault(error).code === 'lease-lost' ? of(undefined) : throwError(() => error),
    ),
  )
