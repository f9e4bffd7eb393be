import type { Path } from '../kernel/desired.ts'
import type { Row } from '../kernel/rows.ts'
import type { Family, Ip } from '../net/ip.ts'
import { type Leg, legOf, type Peer } from './peer.ts'
import { type DirectRouting, type NextHop, Reach } from './reach.ts'
import { SubnetIndex } from './subnet-index.ts'

/** A peer as one family sees it. */
export interface Host {
  readonly peer: Peer
  readonly leg: Leg
  /** Those that the kernel shall have now. */
  rows: readonly Row[]
}

/** The hosts of one family: by key, by the addresses that they own, and by what is known of the way to them. */
export class Hosts {
  readonly #family: Family
  readonly #byKey = new Map<string, Host>()
  readonly #bySubnet = new SubnetIndex<Host>()
  readonly #reach = new Reach()
  /** Those of which it isn't known yet whether they need the tunnel. */
  readonly #undecided = new Set<Host>()
  /** Those that would need a tunnel where there is none. */
  readonly #unreachable = new Set<Host>()

  constructor(family: Family) {
    this.#family = family
  }

  get(key: string): Host | undefined {
    return this.#byKey.get(key)
  }
  all(): Iterable<Host> {
    return this.#byKey.values()
  }
  /** Whose address that is. */
  find(ip: Ip): Host | undefined {
    return this.#bySubnet.find(ip)
  }

  /** Undefined for a peer that lacks the family. */
  add(peer: Peer): Host | undefined {
    const leg = legOf(peer, this.#family)
    if (!leg) return undefined
    const host: Host = { peer, leg, rows: [] }
    this.#byKey.set(peer.key, host)
    this.#bySubnet.set(leg.subnet, host)
    return host
  }

  delete(host: Host): void {
    this.#byKey.delete(host.peer.key)
    this.#bySubnet.delete(host.leg.subnet, host)
    this.#undecided.delete(host)
    this.#unreachable.delete(host)
    this.#reach.forget(host.leg.publicIp)
  }

  /** Of every host it is known how it is reached. */
  get areDecided(): boolean {
    return this.#undecided.size === 0
  }
  get unreachable(): number {
    return this.#unreachable.size
  }
  get routing(): DirectRouting {
    return this.#reach.routing
  }
  setRouting(routing: DirectRouting): void {
    this.#reach.routing = routing
  }

  /** `unknown` until the kernel has been asked; undefined where there is no way. */
  pathTo(host: Host, tunnel: number | undefined): Path | 'unknown' | undefined {
    const path = this.#reach.pathTo(host.leg, tunnel)
    mark(this.#undecided, host, path === 'unknown')
    mark(this.#unreachable, host, path === undefined && this.routing === 'only')
    return path
  }

  /** Underlay addresses of which the kernel has to be asked whether they are on a link of ours: all, or the new ones. */
  toAsk(which: 'all' | 'new'): readonly Ip[] {
    if (this.#reach.routing === 'never') return []
    return [...(which === 'all' ? this.#byKey.values() : this.#undecided)].map(({ leg }) => leg.publicIp)
  }

  /** The hosts to which the way is another now. */
  learn(answers: ReadonlyMap<Ip, NextHop | undefined>): readonly Host[] {
    const changed = this.#reach.learn(answers)
    if (changed.size === 0) return []
    return [...this.#byKey.values()].filter(({ leg }) => changed.has(leg.publicIp))
  }

  /** Rows of theirs are wanted on that link. */
  use(link: number): boolean {
    for (const { rows } of this.#byKey.values()) if (rows.some((row) => row.link === link)) return true
    return false
  }
}

const mark = (hosts: Set<Host>, host: Host, belongs: boolean): void => {
  if (belongs) hosts.add(host)
  else hosts.delete(host)
}
