import {
  catchError,
  defer,
  EMPTY,
  finalize,
  ignoreElements,
  merge,
  type Observable,
  take,
  tap,
  timer,
} from 'rxjs'
import { Forwarding } from '../core/forwarding.ts'
import type { Family } from '../core/net/ip.ts'
import { madeUpNetwork } from '../core/overlay/made-up.ts'
import { removalDefaults } from '../core/overlay/removal.ts'
import { Millis } from '../core/time.ts'
import type { Clock } from '../ports/clock.ts'
import type { Stage } from '../ports/kernel.ts'
import { answerMisses$ } from './misses.ts'

const hosts = 100
const questions = 2000
/** So few that a real question never waits long behind them; there is a turn every millisecond. */
const questionsInATurn = 20

interface Rehearsal {
  readonly openStage: () => Stage
  readonly clock: Clock
  readonly families: readonly Family[]
}

/**
 * Answers made-up questions for made-up hosts on a stage. V8 runs the first thousand answers half as fast as those
 * that follow, and the first packets would be the ones to pay for it. Completes after some 100 ms.
 */
export const rehearsal$ = ({ openStage, clock, families }: Rehearsal): Observable<never> =>
  defer(() => {
    const { own, records, containerAddress } = madeUpNetwork(families, hosts)
    const now = clock.now()
    const forwarding = new Forwarding({
      ...{ resolve: 'on-miss', maxNeighbours: hosts, idle: Millis.of(0) },
      removal: removalDefaults,
    })
    for (const plane of forwarding.planes) {
      plane.setLink(plane.family)
      plane.dumped({ rows: [], idleMsByMac: new Map() }, now)
    }
    forwarding.setOwn(own, now)
    forwarding.records({ kind: 'snapshot', records }, 1, now)

    const stage = openStage()
    const ask = (turn: number): void => {
      for (let n = turn * questionsInATurn; n < (turn + 1) * questionsInATurn; n++)
        for (const family of families)
          stage.ask({ link: family, ip: containerAddress(n, family), probe: false })
    }
    const asked$ = timer(0, 1).pipe(
      take(questions / questionsInATurn),
      tap(ask),
      finalize(() => stage.close()),
    )
    return merge(answerMisses$({ kernel: stage, clock, forwarding }), asked$).pipe(ignoreElements())
  }).pipe(catchError(() => EMPTY)) // the first packets wait a little longer then, and that is all
