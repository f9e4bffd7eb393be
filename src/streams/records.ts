import {
  concat,
  concatMap,
  distinctUntilChanged,
  filter,
  map,
  type Observable,
  of,
  switchMap,
  take,
} from 'rxjs'
import type { LeaseStore, RecordEvent, StoreEvent } from '../ports/lease-store.ts'
import type { Network } from './network.ts'
import { storeOf } from './store-of.ts'

/**
 * The records of the network in force. Asked for at once where they most likely are, but nobody hears of one before it
 * is known that they are the right ones: those of another network would look like the end of every peer.
 */
export const records$ = (
  store: LeaseStore,
  guess: LeaseStore,
  network$: Observable<Network>,
): Observable<StoreEvent<RecordEvent>> => {
  const known$ = network$.pipe(
    map(({ config }) => storeOf(store, config)),
    distinctUntilChanged(),
  )
  return concat(of(guess), known$).pipe(
    distinctUntilChanged(),
    switchMap((there) => {
      let isRight = false
      const right$ = known$.pipe(
        filter((known) => known === there),
        take(1),
      )
      return there.records$.pipe(
        concatMap((event) => {
          if (isRight || event.kind !== 'value') return of(event)
          return right$.pipe(
            map(() => {
              isRight = true
              return event
            }),
          )
        }),
      )
    }),
  )
}
