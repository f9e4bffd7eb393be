import { concatMap, from, map, type MonoTypeOperatorFunction, of, timer } from 'rxjs'
import type { RecordEvent, StoreEvent } from '../../ports/lease-store.ts'

/**
 * A burst of changes in pieces of so many, each in a turn of its own: a miss that comes meanwhile gets its turn between
 * them. Order and revision stay.
 */
export const inPieces =
  (most: number): MonoTypeOperatorFunction<StoreEvent<RecordEvent>> =>
  (events$) =>
    events$.pipe(
      concatMap((event) => {
        if (event.kind !== 'value' || event.value.kind !== 'changes') return of(event)
        const { changes } = event.value
        if (changes.length <= most) return of(event)
        const pieces = Array.from({ length: Math.ceil(changes.length / most) }, (_, i) =>
          changes.slice(i * most, (i + 1) * most),
        )
        return from(pieces).pipe(
          concatMap((piece) => timer(0).pipe(map(() => piece))),
          map((piece) => ({ ...event, value: { kind: 'changes' as const, changes: piece } })),
        )
      }),
    )
