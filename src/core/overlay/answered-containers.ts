import type { Neighbour } from '../kernel/rows.ts'
import type { Ip } from '../net/ip.ts'
import { Millis } from '../time.ts'

/** An answered container needs its own neighbour entry only until its host's route has taken over. */
const life = Millis.seconds(2)

/** Most that hand over in one turn: the next miss waits for no more than that. */
const mostInATurn = 256

interface Answered<Host> {
  readonly host: Host
  readonly row: Neighbour
  readonly at: Millis
}

/** Containers that were answered one by one, in order of answering. */
export class AnsweredContainers<Host> {
  readonly #byIp = new Map<Ip, Answered<Host>>()
  readonly #ofHost = new Map<Host, Set<Ip>>()

  clear(): void {
    this.#byIp.clear()
    this.#ofHost.clear()
  }

  answeredAt(ip: Ip): Millis | undefined {
    return this.#byIp.get(ip)?.at
  }

  note(ip: Ip, answered: Answered<Host>): void {
    const before = this.#byIp.get(ip)
    if (before) this.#forget(ip, before.host)
    this.#byIp.set(ip, answered)
    const others = this.#ofHost.get(answered.host)
    if (others) others.add(ip)
    else this.#ofHost.set(answered.host, new Set([ip]))
  }

  nextDeadline(): Millis | undefined {
    const oldest = this.#byIp.values().next().value
    return oldest && Millis.add(oldest.at, life)
  }

  /** Rows that have done their work; the others, whose host has no route yet, get another life. */
  handOver(now: Millis, isRouted: (host: Host) => boolean): readonly Neighbour[] {
    const done: Neighbour[] = []
    let left = mostInATurn
    for (const [ip, { host, row, at }] of this.#byIp) {
      if (at + life > now || left-- === 0) break
      if (isRouted(host)) {
        this.#forget(ip, host)
        done.push(row)
      } else this.note(ip, { host, row, at: now })
    }
    return done
  }

  take(ip: Ip): Neighbour | undefined {
    const answered = this.#byIp.get(ip)
    if (answered) this.#forget(ip, answered.host)
    return answered?.row
  }

  /** Takes out those of one host. */
  takeOf(host: Host): readonly Neighbour[] {
    const rows = [...(this.#ofHost.get(host) ?? [])].flatMap((ip) => this.#byIp.get(ip)?.row ?? [])
    for (const ip of this.#ofHost.get(host) ?? []) this.#byIp.delete(ip)
    this.#ofHost.delete(host)
    return rows
  }

  #forget(ip: Ip, host: Host): void {
    this.#byIp.delete(ip)
    const others = this.#ofHost.get(host)
    if (others?.delete(ip) && others.size === 0) this.#ofHost.delete(host)
  }
}
