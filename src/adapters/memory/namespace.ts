import type { InterfaceAddress, LinkFacts, VxlanSpec } from '../../core/kernel/link.ts'
import { routeProtocol } from '../../core/kernel/notation.ts'
import {
  type FdbEntry,
  type Neighbour,
  type Op,
  type Route,
  type Row,
  sameRow,
} from '../../core/kernel/rows.ts'
import { Cidr, type CidrKey } from '../../core/net/cidr.ts'
import { type Family, Ip } from '../../core/net/ip.ts'
import type { Mac } from '../../core/net/mac.ts'
import type { NextHop } from '../../core/overlay/reach.ts'
import type { Millis } from '../../core/time.ts'

/** A neighbour as the kernel holds it: of states that are not ours only somebody else makes any. */
export interface NeighbourEntry {
  readonly link: number
  readonly ip: Ip
  readonly mac: Mac
  readonly state: Neighbour['state'] | 'reachable'
}

/** Error names of errno(3), as Linux answers a row. */
export type RowError = 'EEXIST' | 'ENODEV' | 'ENETDOWN'

/** Where the data path sends a packet. */
export type Way =
  | { readonly kind: 'tunnel'; readonly mac: Mac; readonly vtep: Ip }
  /** No neighbour entry for the next hop: the ARP layer asks. */
  | { readonly kind: 'unresolved'; readonly link: number; readonly ip: Ip }
  /** The next hop's MAC has no FDB entry. */
  | { readonly kind: 'no-vtep'; readonly mac: Mac }
  /** Without a tunnel, to that address of the underlay. */
  | { readonly kind: 'plain'; readonly to: Ip }
  | { readonly kind: 'unreachable' }

interface StandingRoute {
  readonly row: Route
  readonly protocol: number
}

/** Devices, addresses and the three tables of one network namespace, with Linux's rules between them. */
export class Namespace {
  readonly links = new Map<number, LinkFacts>()
  readonly addresses: InterfaceAddress[] = []
  readonly #neighbours = new Map<number, Map<Ip, NeighbourEntry>>()
  readonly #fdb = new Map<number, Map<Mac, { readonly row: FdbEntry; usedAt: Millis }>>()
  /** One of each prefix: metrics other than ours are not kept. */
  readonly #routes = new Map<CidrKey, StandingRoute>()
  #nextIndex = 1

  linkNamed(name: string): LinkFacts | undefined {
    return [...this.links.values()].find((link) => link.name === name)
  }

  /** Index numbers are never given twice. */
  addLink(facts: Omit<LinkFacts, 'index'>): LinkFacts {
    const link = { ...facts, index: this.#nextIndex++ }
    this.links.set(link.index, link)
    return link
  }

  /**
   * Down takes neighbours, routes (fib_frontend.c: fib_disable_ip) and IPv6 addresses (addrconf.c: addrconf_ifdown),
   * another MAC the neighbours (arp_netdev_event).
   */
  changeLink(
    link: LinkFacts,
    change: Partial<LinkFacts>,
  ): {
    readonly link: LinkFacts
    readonly flushed: readonly Row[]
    readonly lost: readonly InterfaceAddress[]
  } {
    const changed = { ...link, ...change, index: link.index }
    this.links.set(link.index, changed)
    const wentDown = link.up && !changed.up
    if (wentDown) this.#flushRoutes(link.index)
    const flushed = wentDown || link.mac !== changed.mac ? this.#flushNeighbours(link.index) : []
    const lost = wentDown ? this.#takeAddresses((a) => a.link === link.index && a.address.family === 6) : []
    return { link: changed, flushed, lost }
  }

  /** A device takes everything of its own with it. */
  deleteLink({ index }: LinkFacts): readonly Row[] {
    this.links.delete(index)
    this.#flushRoutes(index)
    this.#fdb.delete(index)
    this.#takeAddresses(({ link }) => link === index)
    return this.#flushNeighbours(index)
  }

  /** Without its last IPv4 address a device loses routes and neighbours (fib_frontend.c: fib_inetaddr_event); IPv6 keeps them. */
  removeAddress(address: InterfaceAddress): readonly Row[] {
    this.#takeAddresses((a) => a.link === address.link && Cidr.equals(a.address, address.address))
    if (address.address.family === 6) return []
    if (this.addresses.some((a) => a.link === address.link && a.address.family === 4)) return []
    this.#flushRoutes(address.link, 4)
    return this.#flushNeighbours(address.link, 4)
  }

  #takeAddresses(which: (address: InterfaceAddress) => boolean): readonly InterfaceAddress[] {
    const taken = this.addresses.filter(which)
    for (const address of taken) this.addresses.splice(this.addresses.indexOf(address), 1)
    return taken
  }

  /** What is wanted of a device, as far as this kernel knows of it. */
  static factsOf(spec: VxlanSpec): Omit<LinkFacts, 'index'> {
    const { name, mac, mtuBytes, vni, port, underlay, local, learning, gbp } = spec
    return {
      ...{ name, kind: 'vxlan', mac, mtuBytes, up: true, running: true, loopback: false, alias: '' },
      vxlan: { vni, port, underlay, local, learning, gbp },
    }
  }

  static sameLink(a: LinkFacts, b: LinkFacts): boolean {
    return (
      a.mac === b.mac &&
      a.mtuBytes === b.mtuBytes &&
      a.up === b.up &&
      a.vxlan?.local === b.vxlan?.local &&
      a.vxlan?.underlay === b.vxlan?.underlay &&
      a.vxlan?.learning === b.vxlan?.learning
    )
  }

  put(
    row: Row | NeighbourEntry,
    now: Millis,
    route: { protocol: number; replace: boolean },
  ): RowError | undefined {
    const link = this.links.get(row.link)
    if (!link) return 'ENODEV'
    if (!('kind' in row)) tableOf(this.#neighbours, row.link).set(row.ip, row)
    else if (row.kind === 'fdb') tableOf(this.#fdb, row.link).set(row.mac, { row, usedAt: now })
    else if (row.kind === 'neighbour') tableOf(this.#neighbours, row.link).set(row.ip, row)
    else {
      if (!link.up) return 'ENETDOWN'
      if (!route.replace && this.#routes.has(Cidr.key(row.dst))) return 'EEXIST'
      this.#routes.set(Cidr.key(row.dst), { row, protocol: route.protocol })
    }
    return undefined
  }

  /** A route goes only with its own protocol number (fib_trie.c: fib_table_delete). */
  remove(row: Row, protocol: number): boolean {
    switch (row.kind) {
      case 'fdb':
        return this.#fdb.get(row.link)?.delete(row.mac) ?? false
      case 'neighbour':
        return this.#neighbours.get(row.link)?.delete(row.ip) ?? false
      case 'route': {
        const key = Cidr.key(row.dst)
        return this.#routes.get(key)?.protocol === protocol && this.#routes.delete(key)
      }
    }
  }

  /** Writes one of ours. */
  write({ verb, row, replace = false }: Op, now: Millis): RowError | undefined {
    if (verb === 'add') return this.put(row, now, { protocol: routeProtocol, replace })
    this.remove(row, routeProtocol)
    return undefined
  }

  route(dst: Cidr): StandingRoute | undefined {
    return this.#routes.get(Cidr.key(dst))
  }
  neighbour(link: number, ip: Ip): NeighbourEntry | undefined {
    return this.#neighbours.get(link)?.get(ip)
  }

  /** A route of somebody else that forwards just as this one would: only its protocol changes. */
  takesOver({ verb, row }: Op): boolean {
    const standing = verb === 'add' && row.kind === 'route' ? this.route(row.dst) : undefined
    return standing !== undefined && sameRow(standing.row, row)
  }

  /** Standing already, as wanted. */
  holds(row: Route): boolean {
    const standing = this.route(row.dst)
    return standing?.protocol === routeProtocol && sameRow(standing.row, row)
  }

  /** Of ours: rows of that device, routes of our protocol on any. */
  ours(link: number): readonly Row[] {
    return [...this.rowsOn(link), ...this.ourRoutes()]
  }
  rowsOn(link: number): readonly Row[] {
    const fdb = [...(this.#fdb.get(link)?.values() ?? [])].map(({ row }) => row)
    return [...fdb, ...this.#ourNeighbours(link)]
  }
  ourRoutes(): readonly Route[] {
    return [...this.#routes.values()].filter((r) => r.protocol === routeProtocol).map((r) => r.row)
  }
  idleMsByMac(link: number, now: Millis): ReadonlyMap<Mac, number> {
    return new Map([...(this.#fdb.get(link) ?? [])].map(([mac, { usedAt }]) => [mac, now - usedAt]))
  }

  /** Route, neighbour, FDB: the look-ups of a packet, each of which may fail. */
  wayTo(ip: Ip, now: Millis): Way {
    const route = this.lookUp(ip)
    const link = route && this.links.get(route.link)
    if (!route || !link?.up) return { kind: 'unreachable' }
    const nextHop = route.via ?? ip
    if (!link.vxlan) return { kind: 'plain', to: nextHop }
    const mac = this.#neighbours.get(link.index)?.get(nextHop)?.mac
    if (mac === undefined) return { kind: 'unresolved', link: link.index, ip: nextHop }
    const fdb = this.#fdb.get(link.index)?.get(mac)
    if (!fdb) return { kind: 'no-vtep', mac }
    fdb.usedAt = now
    return { kind: 'tunnel', mac, vtep: fdb.row.vtep }
  }

  nextHop(ip: Ip): NextHop | undefined {
    const route = this.lookUp(ip)
    if (!route || !this.links.get(route.link)?.up) return undefined
    return route.via === undefined ? { kind: 'on link', link: route.link } : { kind: 'routed' }
  }

  /** The longest prefix wins. */
  lookUp(ip: Ip): Route | undefined {
    const connected = this.addresses.map(({ link, address }): Route => {
      return { kind: 'route', link, dst: Cidr.network(address), via: undefined }
    })
    return [...[...this.#routes.values()].map(({ row }) => row), ...connected]
      .filter(({ dst }) => Cidr.contains(dst, ip))
      .reduce<Route | undefined>((best, r) => (best && best.dst.length >= r.dst.length ? best : r), undefined)
  }

  #ourNeighbours(link: number): readonly Neighbour[] {
    return [...(this.#neighbours.get(link)?.values() ?? [])].flatMap(({ ip, mac, state }) =>
      state === 'reachable' ? [] : { kind: 'neighbour', link, ip, mac, state },
    )
  }

  #flushNeighbours(link: number, family?: Family): readonly Row[] {
    const flushed = this.#ourNeighbours(link).filter(({ ip }) => !family || Ip.family(ip) === family)
    const table = tableOf(this.#neighbours, link)
    for (const ip of [...table.keys()]) if (!family || Ip.family(ip) === family) table.delete(ip)
    return flushed
  }

  #flushRoutes(link: number, family?: Family): void {
    for (const [key, { row }] of this.#routes)
      if (row.link === link && (!family || row.dst.family === family)) this.#routes.delete(key)
  }
}

const tableOf = <K, V>(tables: Map<number, Map<K, V>>, link: number): Map<K, V> => {
  const table = tables.get(link) ?? new Map<K, V>()
  tables.set(link, table)
  return table
}
