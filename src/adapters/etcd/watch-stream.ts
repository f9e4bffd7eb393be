import type { IWatchResponse } from 'etcd3'
import { from, Observable, switchMap, throwError, timeout } from 'rxjs'
import type { Endpoint } from './endpoint.ts'
import { noAnswer } from './faults.ts'
import type { KeyRange } from './snapshot.ts'

/** A stream of its own for each watch (etcd3's shared one stops at the first refused watch). */
const createTimeoutMs = 4000

/**
 * One raw watch from `startRevision` on: what etcd sends, until the stream breaks, which is an error.
 * Unsubscribing ends it. Without an answer to the creation within 4 s it errors too.
 */
export const watchStream$ = (
  endpoint: Endpoint,
  range: KeyRange,
  startRevision: number,
): Observable<IWatchResponse> =>
  from(endpoint.ready()).pipe(
    switchMap(() => rawWatch$(endpoint, range, startRevision)),
    timeout({ first: createTimeoutMs, with: () => throwError(() => noAnswer('a watch', createTimeoutMs)) }),
  )

const rawWatch$ = (endpoint: Endpoint, range: KeyRange, startRevision: number) =>
  new Observable<IWatchResponse>((subscriber) => {
    endpoint
      .run(() => endpoint.watches.watchClient.watch())
      .then(
        (stream) => {
          stream.on('data', (response) => subscriber.next(response))
          stream.on('error', (error) => subscriber.error(error))
          stream.on('end', () => subscriber.error(new Error('14 UNAVAILABLE: the watch stream ended')))
          subscriber.add(() => {
            stream.end() // first, or etcd3 takes our own cancellation for a fault and closes the client's channels
            stream.cancel()
          })
          if (subscriber.closed) return
          stream.write({
            create_request: {
              key: range.start,
              ...(range.end && { range_end: range.end }),
              start_revision: startRevision,
              progress_notify: true,
              fragment: true, // or one response of many large values is never received, and asked for again for ever
            },
          })
        },
        (error: unknown) => subscriber.error(error),
      )
  })
