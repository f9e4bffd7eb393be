import { answerRows } from './kernel/desired.ts'
import type { Neighbour, Op } from './kernel/rows.ts'
import type { Tables } from './kernel/tables.ts'
import type { Ip } from './net/ip.ts'
import type { Mac } from './net/mac.ts'
import { AnsweredContainers } from './overlay/answered-containers.ts'
import type { Host } from './overlay/hosts.ts'
import type { MissResult } from './overlay/miss.ts'
import { Promotions } from './overlay/promotions.ts'
import { Millis } from './time.ts'
import { TokenBucket } from './token-bucket.ts'

/** The answer to a miss, to be written at once and in this order. */
export interface MissAnswer {
  readonly result: MissResult
  readonly ops: readonly Op[]
}

export const silence = (result: MissResult): MissAnswer => ({ result, ops: [] })

/** The kernel asks again after a second; anything sooner is the same question seen twice. */
const sameQuestion = Millis.of(50)

/**
 * How one family answers: the packet that waits gets the two rows that it needs, at once. What its host needs besides,
 * so that nobody has to ask for it again, follows when the kernel has no more questions.
 */
export class MissPath {
  readonly #answered = new AnsweredContainers<Host>()
  readonly #promotions = new Promotions<Host>()
  readonly #bucket = new TokenBucket({ ratePerSecond: 20_000, burst: 20_000 })

  clear(): void {
    this.#answered.clear()
    this.#promotions.clear()
  }

  /** Why this question gets no answer, if so. */
  refuses(ip: Ip, now: Millis): 'throttled' | 'limited' | undefined {
    if ((this.#answered.answeredAt(ip) ?? -Infinity) + sameQuestion > now) return 'throttled'
    return this.#bucket.take(now) ? undefined : 'limited'
  }

  answer(
    host: Host,
    asked: { readonly ip: Ip; readonly mac: Mac; readonly link: number },
    { tables, now }: { readonly tables: Tables; readonly now: Millis },
  ): readonly Op[] {
    this.#promotions.asked(now)
    const [fdb, neighbour] = answerRows(host.leg, asked.mac, asked)
    tables.wrote(fdb)
    tables.wrote(neighbour)
    if (neighbour.state === 'noarp') this.#answered.note(asked.ip, { host, row: neighbour, at: now })
    const own = neighbour.state === 'noarp' ? [fdb] : [fdb, neighbour]
    const added = own.filter(({ kind }) => !host.rows.some((row) => row.kind === kind))
    if (added.length > 0) host.rows = [...host.rows, ...added]
    return [
      { verb: 'add', row: fdb },
      { verb: 'add', row: neighbour },
    ]
  }

  isWaiting(host: Host): boolean {
    return this.#promotions.has(host)
  }

  /** The host shall have rows of its own. */
  promote(host: Host, now: Millis): void {
    this.#promotions.add(host, now)
  }

  /** Hosts whose rows may be written now, and fit into so many operations. */
  takePromoted(now: Millis, room: number): readonly Host[] {
    return room < rowsLeft ? [] : this.#promotions.take(now, Math.floor(room / rowsLeft))
  }

  /** Rows of containers whose host's route has taken over. */
  handOver(now: Millis, isRouted: (host: Host) => boolean): readonly Neighbour[] {
    return this.#answered.handOver(now, isRouted)
  }

  /** The kernel has evicted the row of a container; undefined if it is none. */
  evicted(ip: Ip): Neighbour | undefined {
    return this.#answered.take(ip)
  }

  /** The host has no rows any more; returns those of its containers, which without its FDB entry would swallow what they get. */
  forget(host: Host): readonly Neighbour[] {
    this.#promotions.delete(host)
    return this.#answered.takeOf(host)
  }

  nextDeadlines(): readonly (Millis | undefined)[] {
    return [this.#answered.nextDeadline(), this.#promotions.nextDeadline()]
  }
}

/** Of each promoted host: its neighbour and its route. */
const rowsLeft = 2
