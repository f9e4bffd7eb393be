import { filter, map, type Observable } from 'rxjs'
import type { Forwarding, MissAnswer } from '../core/forwarding.ts'
import type { Ip } from '../core/net/ip.ts'
import type { Clock } from '../ports/clock.ts'
import type { Kernel, Miss } from '../ports/kernel.ts'

/** A question of the kernel, and what it got. */
export interface AnsweredMiss {
  readonly ip: Ip
  readonly answer: MissAnswer
}

export interface AnswerOptions {
  readonly kernel: Pick<Kernel, 'misses$' | 'answer'>
  readonly clock: Clock
  readonly forwarding: Forwarding
}

/** Answers each miss before anything else hears of it: a packet waits. */
export const answerMisses$ = ({ kernel, clock, forwarding }: AnswerOptions): Observable<AnsweredMiss> => {
  const answerTo = ({ link, ip }: Miss): AnsweredMiss | undefined => {
    const answer = forwarding.miss(link, ip, clock.now())
    if (answer && answer.ops.length > 0) kernel.answer(answer.ops)
    return answer && { ip, answer }
  }
  return kernel.misses$.pipe(
    map(answerTo),
    filter((answered) => answered !== undefined),
  )
}
