import { Cidr } from './net/cidr.ts'
import type { Family, Ip } from './net/ip.ts'
import type { Fault } from './fault.ts'
import { hostRows, overlayRoute } from './kernel/desired.ts'
import type { Editor } from './kernel/fights.ts'
import { type Dump, type Op, type Row, routeKey, rowKey } from './kernel/rows.ts'
import { Tables } from './kernel/tables.ts'
import { ActiveHosts } from './overlay/active-hosts.ts'
import { type Host, Hosts } from './overlay/hosts.ts'
import type { Peer, PeerChange } from './overlay/peer.ts'
import type { DirectRouting, NextHop } from './overlay/reach.ts'
import { type MissAnswer, MissPath, silence } from './miss-path.ts'
import { Millis } from './time.ts'

export interface PlaneOptions {
  /** `eager`: every host has its rows. `on-miss`: only the hosts in use have. */
  readonly resolve: 'eager' | 'on-miss'
  /** Most hosts with rows in `on-miss`. */
  readonly maxNeighbours: number
  /** In `on-miss`, rows unused for so long go; 0 keeps them for ever. */
  readonly idle: Millis
}

/**
 * The data plane of one family: its VXLAN device and the rows that the peers call for, and what the kernel is believed
 * to hold of them. A family that the network lacks, and one without a tunnel (host-gw), has no device and nothing but
 * routes.
 */
export class Plane {
  readonly family: Family
  readonly #options: PlaneOptions
  readonly #hosts: Hosts
  readonly #active: ActiveHosts
  readonly #misses = new MissPath()
  #tables = new Tables()
  #network: Cidr | undefined
  #own: Cidr | undefined
  #link: number | undefined
  #overlayRoute: Row | undefined
  #placed = false
  /** The kernel's tables have been read since the device came: before, everything would be written again. */
  #read = false

  constructor(family: Family, options: PlaneOptions) {
    this.family = family
    this.#options = options
    this.#hosts = new Hosts(family)
    this.#active = new ActiveHosts(options.resolve === 'on-miss' ? options.maxNeighbours : Infinity)
  }

  get tables(): Tables {
    return this.#tables
  }
  /** Interface index of the VXLAN device. */
  get link(): number | undefined {
    return this.#link
  }
  /** It is known which device there is, or that there shall be none. */
  get isPlaced(): boolean {
    return this.#placed
  }
  /** Hosts to whom there is no way, since they are behind a router and there is no tunnel. */
  get unreachable(): number {
    return this.#hosts.unreachable
  }
  get isRead(): boolean {
    return this.#read
  }

  /** The overlay's prefix, the part of it that is this host's, and who shall be reached without a tunnel. */
  setNetwork(network: Cidr | undefined, own: Cidr | undefined, routing: DirectRouting): void {
    this.#network = network
    this.#own = own
    this.#wantOverlayRoute()
    if (routing === this.#hosts.routing) return
    this.#hosts.setRouting(routing)
    for (const host of this.#hosts.all()) this.#place(host)
  }

  /** The device has (another) interface index, or there shall be none: a dump has to follow. */
  setLink(link: number | undefined): void {
    if (this.#placed && link === this.#link) {
      this.#tables.retryNow() // the device was in doubt, and may have been the reason
      return
    }
    this.#begin(link)
    this.#placed = true
    this.#wantOverlayRoute()
    for (const host of this.#hosts.all()) this.#place(host)
  }

  /** The device is gone, and its rows with it: nothing can be written until there is another. */
  dropLink(): void {
    this.#begin(undefined)
    this.#placed = false
  }

  #begin(link: number | undefined): void {
    this.#link = link
    this.#read = false
    this.#overlayRoute = undefined
    this.#tables = new Tables()
    this.#misses.clear()
    for (const host of this.#hosts.all()) host.rows = []
  }

  /** Underlay addresses of which the kernel has to be asked whether they are on a link of ours: all, or the new ones. */
  toAsk(which: 'all' | 'new'): readonly Ip[] {
    return this.#hosts.toAsk(which)
  }

  /**
   * What the kernel said to {@link toAsk}. A host whose path changes gets the new route in place of the old one, and
   * only then loses what the old one needed.
   */
  reached(answers: ReadonlyMap<Ip, NextHop | undefined>, now: Millis): void {
    for (const host of this.#hosts.learn(answers)) {
      this.#adopt(host, now)
      this.#place(host)
    }
  }

  /** Routes over that link are wanted. */
  routesOver(link: number): boolean {
    return this.#hosts.routing !== 'never' && link !== this.#link && this.#hosts.use(link)
  }

  /** Peers come and go; removals of the whole batch first, since who comes may have what another gives up. */
  apply(changes: readonly PeerChange[], now: Millis): void {
    for (const { before } of changes) if (before) this.#remove(before)
    for (const { after } of changes) if (after) this.#add(after, now)
    for (const { key } of changes) if (!this.#hosts.get(key)) this.#active.forget(key)
  }

  /** How this peer is reached, or would be once somebody talks to it; `none` where it would need a tunnel. */
  pathTo(peer: Peer): 'tunnel' | 'direct' | 'unknown' | 'none' | undefined {
    const host = this.#hosts.get(peer.key)
    const path = host && this.#hosts.pathTo(host, this.#link)
    return typeof path === 'object' ? path.kind : host && (path ?? 'none')
  }

  /** Those that the kernel shall have for this peer. */
  rowsOf(peer: Peer): readonly Row[] {
    const host = this.#hosts.get(peer.key)
    if (!host) return []
    const link = this.#misses.isWaiting(host) ? this.#link : undefined
    return link === undefined ? host.rows : hostRows(host.leg, { kind: 'tunnel', link })
  }

  /** The kernel is about to be asked; to be told before each {@link dumped}. */
  dumping(): void {
    this.#tables.dumping()
  }

  /** The whole truth from the kernel, with the FDB's own word on which hosts are in use. */
  dumped(dump: Dump, now: Millis): void {
    this.#read = true
    this.#tables.dumped(dump.rows)
    for (const host of this.#hosts.all()) this.#adopt(host, now)
    this.#expireIdle(dump.idleMsByMac, now)
  }

  /** On our device, or a route on any device in the place of one of ours. */
  concerns(row: Row): boolean {
    if (row.kind !== 'route') return row.link === this.#link
    if (row.dst.family !== this.family) return false
    return row.link === this.#link || this.#tables.routes.desired.has(rowKey(row))
  }

  /**
   * Somebody else changed a row: whether a write of it is owed now, and whether it was before. The kernel may evict
   * the row of a container: its next packet is a miss again.
   */
  edited(verb: Op['verb'], row: Row, by: Editor): 'nothing' | 'owed' | 'repair' {
    if (by.port === 0 && verb === 'remove' && row.kind === 'neighbour') {
      const evicted = this.#misses.evicted(row.ip)
      if (evicted) this.#tables.unwant(evicted)
    }
    const owed = this.#tables.owes(row)
    if (!this.#tables.edited(verb, row)) return 'nothing'
    return owed ? 'owed' : 'repair'
  }

  /** As it should be, if it should be there at all. */
  wanted(row: Row): Row | undefined {
    return this.#tables.of(row).desired.get(rowKey(row))
  }

  /** The repair of the row waits until then. */
  postpone(row: Row, until: Millis): void {
    this.#tables.of(row).postpone(rowKey(row), until)
  }

  /** The kernel's answer to what {@link take} handed out is complete; what it refused has been told. */
  answered(op: Op): void {
    this.#tables.answered(op)
  }

  refused(op: Op, fault: Fault, now: Millis): void {
    this.#tables.refused(op, fault, now)
  }

  /** The miss path: one look-up; nothing here may wait. */
  miss(ip: Ip, now: Millis): MissAnswer {
    const link = this.#link
    if (link === undefined || !this.#own) return silence('not-ready')
    if (Cidr.contains(this.#own, ip)) return silence('own')
    const host = this.#hosts.find(ip)
    const mac = host?.leg.vtepMac
    if (!host || mac === undefined) return silence('stranger')
    if (this.#isDirect(host)) return silence('not-ready') // its route is being written
    const refused = this.#misses.refuses(ip, now)
    if (refused) return silence(refused)
    const result = host.rows.length > 0 ? 'answered' : 'promoted'
    this.#use(host, now)
    if (result === 'promoted') this.#misses.promote(host, now)
    return { result, ops: this.#misses.answer(host, { ip, mac, link }, { tables: this.#tables, now }) }
  }

  /** Lets time pass: answered containers hand over to their host's route. */
  tick(now: Millis): void {
    for (const row of this.#misses.handOver(now, (host) => this.#routeStands(host))) this.#tables.unwant(row)
  }

  /** What the kernel is owed next, at most `limit`; believed done from here on, so write it at once. */
  take(now: Millis, options: { readonly limit: number; readonly prune: boolean }): readonly Op[] {
    if (!this.#read) return []
    const prune = options.prune && this.#hosts.areDecided
    const ops = this.#tables.take(now, { ...options, prune })
    const limit = ops.at(-1)?.verb === 'remove' ? 0 : options.limit - ops.length // nothing follows removals
    const promoted = this.#misses.takePromoted(now, limit)
    if (promoted.length === 0) return ops
    for (const host of promoted) this.#place(host)
    return [...ops, ...this.#tables.take(now, { limit, prune })]
  }

  /** When {@link tick} or {@link take} has work again. */
  nextDeadlines(): readonly (Millis | undefined)[] {
    return [this.#tables.nextRetry(), ...this.#misses.nextDeadlines()]
  }

  #expireIdle(idleMsByMac: ReadonlyMap<number, number>, now: Millis): void {
    if (this.#options.resolve === 'eager') return
    const usedAt = new Map<string, Millis>()
    for (const key of this.#active.keys()) {
      const idle = idleMsByMac.get(this.#hosts.get(key)?.leg.vtepMac ?? 0)
      if (idle !== undefined) usedAt.set(key, Millis.of(now - idle))
    }
    this.#active.learn(usedAt)
    if (this.#options.idle === 0) return
    for (const key of this.#active.expire(Millis.of(now - this.#options.idle))) this.#demote(key)
  }

  #remove(peer: Peer): void {
    const host = this.#hosts.get(peer.key)
    if (!host) return
    this.#wantInstead(host, [])
    this.#hosts.delete(host)
  }

  #add(peer: Peer, now: Millis): void {
    const host = this.#hosts.add(peer)
    if (!host) return
    this.#adopt(host, now)
    this.#place(host)
  }

  /** After a restart: a host whose route stands was in use. */
  #adopt(host: Host, now: Millis): void {
    if (this.#options.resolve === 'eager' || this.#active.has(host.peer.key) || this.#isDirect(host)) return
    if (!this.#tables.routes.actual.has(routeKey(host.leg.subnet))) return
    this.#use(host, now)
    this.#place(host)
  }

  #use(host: Host, now: Millis): void {
    if (this.#options.resolve === 'eager') return
    const evicted = this.#active.use(host.peer.key, now)
    if (evicted !== undefined) this.#demote(evicted, true)
  }

  /** Out of use: its next packet is a miss again, unless it needs no tunnel. */
  #demote(key: string, underTraffic = false): void {
    const host = this.#hosts.get(key)
    if (host) this.#place(host, underTraffic)
  }

  /**
   * Wants the rows that the host calls for, in place of those it had. What needs no tunnel raises no miss either: it
   * has its route from the start. While that is unknown everything stays as it is.
   */
  #place(host: Host, underTraffic = false): void {
    const path = this.#hosts.pathTo(host, this.#link)
    if (path === 'unknown') return
    const inUse = this.#options.resolve === 'eager' || this.#active.has(host.peer.key)
    const rows = path && (inUse || path.kind === 'direct') ? hostRows(host.leg, path) : []
    this.#wantInstead(host, rows, underTraffic)
  }

  /** Without its FDB entry the rows of the host's answered containers would swallow what they get: they go with it. */
  #wantInstead(host: Host, rows: readonly Row[], underTraffic = false): void {
    const old = host.rows
    host.rows = rows
    for (const row of rows) this.#tables.want(row)
    for (const row of old) {
      if (rows.some(({ kind }) => kind === row.kind)) continue
      if (row.kind === 'neighbour' && underTraffic) this.#tables.unwantInUse(row)
      else this.#tables.unwant(row)
      if (row.kind === 'fdb')
        for (const answered of this.#misses.forget(host)) this.#tables.unwantInUse(answered)
    }
  }

  #isDirect(host: Host): boolean {
    const path = this.#hosts.pathTo(host, this.#link)
    return path === 'unknown' || path?.kind === 'direct'
  }

  #routeStands({ leg }: Host): boolean {
    const key = routeKey(leg.subnet)
    const { actual, failures } = this.#tables.routes
    return actual.has(key) && !failures.has(key)
  }

  #wantOverlayRoute(): void {
    if (this.#overlayRoute) this.#tables.unwant(this.#overlayRoute)
    this.#overlayRoute = undefined
    if (this.#options.resolve === 'eager' || !this.#network || this.#link === undefined) return
    this.#overlayRoute = overlayRoute(this.#network, this.#link)
    this.#tables.want(this.#overlayRoute)
  }
}
