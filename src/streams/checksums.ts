import { distinctUntilChanged, exhaustMap, map, type Observable, scan, timer } from 'rxjs'
import { ChecksumErrors } from '../core/checksums.ts'
import type { Fault } from '../core/fault.ts'
import type { Host } from '../ports/host.ts'
import { sameAs } from './operators/same-as.ts'

export interface ChecksumState {
  /** Since the agent started. */
  readonly errors: ChecksumErrors
  /** While they rise. */
  readonly fault: Fault | undefined
}

/** The kernel tells nobody of these counters: they have to be looked at. */
const lookMs = 30_000

interface Looks {
  readonly first: ChecksumErrors
  readonly before: ChecksumErrors
  readonly now: ChecksumErrors
}

export const checksums$ = (host: Host, resyncMs: number): Observable<ChecksumState> =>
  timer(0, Math.min(lookMs, resyncMs)).pipe(
    exhaustMap(() => host.checksumErrors$()),
    scan(
      (looks: Looks | undefined, now): Looks => ({
        first: looks?.first ?? now,
        before: looks?.now ?? now,
        now,
      }),
      undefined,
    ),
    map((looks): ChecksumState => {
      if (!looks) return { errors: ChecksumErrors.none, fault: undefined }
      const { first, before, now } = looks
      return {
        errors: ChecksumErrors.since(first, now),
        fault: ChecksumErrors.faultOf(ChecksumErrors.since(before, now)),
      }
    }),
    distinctUntilChanged<ChecksumState>(sameAs),
  )
