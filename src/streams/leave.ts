import {
  catchError,
  concat,
  concatMap,
  defer,
  EMPTY,
  ignoreElements,
  type Observable,
  of,
  throwError,
} from 'rxjs'
import { Fault } from '../core/fault.ts'
import { decodeRecord, encodeRecord, type LeaseRecord } from '../core/overlay/record.ts'
import { reservationFor } from '../core/overlay/reservation.ts'
import { parseSubnetKey } from '../core/overlay/subnet-key.ts'
import type { SavedState } from '../ports/host.ts'
import type { LeaseStore } from '../ports/lease-store.ts'
import { storeOfKey } from './store-of.ts'

/** Who leaves, and what. */
export type Leaver = Pick<SavedState, 'node' | 'lease'>

/**
 * Departure: announced in the record first, so that peers act on the deletion at once and not after their hold;
 * then the record and its lease go. A reservation stays, as the operator wrote it. Emits the key, unless it is not the
 * leaver's any more.
 */
export const leave$ = (anywhere: LeaseStore, leaver: Leaver): Observable<string> => {
  const key = parseSubnetKey(leaver.lease.key)
  return key ? leaveFrom$(storeOfKey(anywhere, key), leaver) : EMPTY
}

const leaveFrom$ = (store: LeaseStore, leaver: Leaver): Observable<string> =>
  store.read$().pipe(
    concatMap((view) => {
      const record = view.records.find(({ key }) => key === leaver.lease.key)
      const decoded = record && decodeRecord(record.value)
      if (!record || decoded?.kind !== 'valid' || decoded.value.node !== leaver.node) return EMPTY
      const { key, leaseId, modRevision } = record
      const value = encodeRecord({ ...decoded.value, leaving: true })
      const given$ = store.claim$({ key, value, leaseId, modRevision, configRevision: undefined }).pipe(
        concatMap((result): Observable<unknown> => {
          if (result.kind !== 'claimed')
            return throwError(() =>
              Fault.of('lease-conflict', `the record ${key} changed while leaving; try again`),
            )
          if (leaseId === '0')
            return keepReserved$(store, { key, modRevision: result.modRevision }, decoded.value)
          return concat(
            store.release$(key, result.modRevision),
            defer(() => revoke$(store, leaseId)),
          )
        }),
      )
      return concat(given$.pipe(ignoreElements()), of(key))
    }),
  )

/** As an operator writes one: the address that may have the subnet, and nobody behind it. */
const keepReserved$ = (
  store: LeaseStore,
  { key, modRevision }: { readonly key: string; readonly modRevision: number },
  record: LeaseRecord,
): Observable<unknown> => {
  const value = encodeRecord(reservationFor(record))
  return store.claim$({ key, value, leaseId: '0', modRevision, configRevision: undefined })
}

/** The lease holds nothing any more; if it can't be revoked it ends by itself. */
const revoke$ = (store: LeaseStore, leaseId: string): Observable<void> =>
  store.revoke$(leaseId).pipe(catchError(() => of(undefined)))
