import type { Row } from '../kernel/rows.ts'
import { Cidr } from '../net/cidr.ts'
import type { Ip } from '../net/ip.ts'
import { Millis } from '../time.ts'

/** An answered container needs its own neighbour entry only until its host's route has taken over. */
const life = Millis.seconds(2)

/** Containers that were answered one by one, in order of answering. */
export class AnsweredContainers {
  readonly #byIp = new Map<Ip, { readonly row: Row; readonly at: Millis }>()

  clear(): void {
    this.#byIp.clear()
  }

  answeredAt(ip: Ip): Millis | undefined {
    return this.#byIp.get(ip)?.at
  }

  note(ip: Ip, row: Row, at: Millis): void {
    this.#byIp.delete(ip)
    this.#byIp.set(ip, { row, at })
  }

  nextDeadline(): Millis | undefined {
    const oldest = this.#byIp.values().next().value
    return oldest && Millis.add(oldest.at, life)
  }

  /** Rows that have done their work; the others, whose host has no route yet, get another life. */
  handOver(now: Millis, isRouted: (ip: Ip) => boolean): readonly Row[] {
    const done: Row[] = []
    for (const [ip, { row, at }] of this.#byIp) {
      if (at + life > now) break
      this.#byIp.delete(ip)
      if (isRouted(ip)) done.push(row)
      else this.#byIp.set(ip, { row, at: now })
    }
    return done
  }

  /** Takes out those of one host. */
  takeWithin(subnet: Cidr): readonly Row[] {
    const taken: Row[] = []
    for (const [ip, { row }] of this.#byIp)
      if (Cidr.contains(subnet, ip)) {
        this.#byIp.delete(ip)
        taken.push(row)
      }
    return taken
  }
}
