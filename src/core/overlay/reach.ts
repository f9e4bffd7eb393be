import type { Path } from '../kernel/desired.ts'
import type { Ip } from '../net/ip.ts'
import type { Backend } from './network-config.ts'
import type { Leg } from './peer.ts'

/** Where the kernel sends packets to an underlay address: onto this link at once, or to a router. */
export type NextHop = { readonly kind: 'on link'; readonly link: number } | { readonly kind: 'routed' }

/**
 * `never`: everything is tunnelled. `where on link`: hosts on the same link get a plain route (flannel's DirectRouting).
 * `only`: there is no tunnel (host-gw), so a host behind a router can't be reached.
 */
export type DirectRouting = 'never' | 'where on link' | 'only'

export const directRoutingOf = (backend: Backend): DirectRouting =>
  backend.kind === 'host-gw' ? 'only' : backend.directRouting ? 'where on link' : 'never'

/** Which hosts are reached without a tunnel: what the kernel said when it was last asked. */
export class Reach {
  readonly #nextHops = new Map<Ip, NextHop>()
  routing: DirectRouting = 'never'

  /** What changes by that; an address that the kernel had no way to just now keeps what it had. */
  learn(answers: ReadonlyMap<Ip, NextHop | undefined>): ReadonlySet<Ip> {
    const changed = new Set<Ip>()
    for (const [ip, answer] of answers) {
      const before = this.#nextHops.get(ip)
      if (before && (!answer || sameHop(before, answer))) continue
      this.#nextHops.set(ip, answer ?? { kind: 'routed' })
      changed.add(ip)
    }
    return changed
  }

  forget(ip: Ip): void {
    this.#nextHops.delete(ip)
  }

  /** `unknown` until the kernel has been asked; undefined where there is no way for lack of a tunnel. */
  pathTo({ publicIp }: Leg, tunnel: number | undefined): Path | 'unknown' | undefined {
    if (this.routing !== 'never') {
      const hop = this.#nextHops.get(publicIp)
      if (!hop) return 'unknown'
      if (hop.kind === 'on link') return { kind: 'direct', link: hop.link }
    }
    return tunnel === undefined || this.routing === 'only' ? undefined : { kind: 'tunnel', link: tunnel }
  }
}

const sameHop = (a: NextHop, b: NextHop): boolean =>
  a.kind === 'on link' ? b.kind === 'on link' && a.link === b.link : a.kind === b.kind
