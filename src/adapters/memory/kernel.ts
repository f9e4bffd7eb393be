import { concatMap, defer, type Observable, of, throwError, timer } from 'rxjs'
import { Fault } from '../../core/fault.ts'
import type { EnsuredLink, InterfaceAddress, LinkFacts, VxlanSpec } from '../../core/kernel/link.ts'
import { printOp, routeProtocol } from '../../core/kernel/notation.ts'
import type { Dump, Op, Route, Row } from '../../core/kernel/rows.ts'
import { Cidr } from '../../core/net/cidr.ts'
import type { Ip } from '../../core/net/ip.ts'
import type { NextHop } from '../../core/overlay/reach.ts'
import type { Clock } from '../../ports/clock.ts'
import type { Interfaces, Kernel, Refusal } from '../../ports/kernel.ts'
import { Namespace, type NeighbourEntry, type RowError, type Way } from './namespace.ts'
import { Offloads } from './offloads.ts'
import { Notices } from './notices.ts'
import { Obstinacies } from './obstinacies.ts'

export interface MemoryKernelOptions {
  readonly clock: Pick<Clock, 'now'>
  /** How long the kernel takes to answer; what is written stands at once. 0 answers within the call. */
  readonly latencyMs?: number
  /** Most operations of one datagram. */
  readonly room?: number
}

/** Port id of everybody else. */
const somebody = 4711
/** Protocol number of routes that an administrator types (rtnetlink(7): RTPROT_BOOT). */
const byHandProtocol = 3

/**
 * The kernel of one network namespace, in maps: what an agent may rely on from Linux, and the same by other hands.
 * The scenarios run against both, so it can't drift from the truth.
 */
export class MemoryKernel implements Kernel {
  readonly room: number
  readonly namespace = new Namespace()
  readonly #offloads = new Offloads()
  readonly #clock: Pick<Clock, 'now'>
  readonly #latencyMs: number
  readonly #notices = new Notices()
  readonly misses$ = this.#notices.misses$
  readonly events$ = this.#notices.events$
  readonly #obstinacies = new Obstinacies()

  constructor({ clock, latencyMs = 0, room = 128 }: MemoryKernelOptions) {
    this.#clock = clock
    this.#latencyMs = latencyMs
    this.room = room
  }

  ensureLink$(spec: VxlanSpec): Observable<EnsuredLink> {
    return this.#request$(() => {
      const refused = this.#obstinacies.refusalOf(`ip link add ${spec.name}`)
      if (refused) return refused
      const link = this.namespace.linkNamed(spec.name)
      if (!link) return this.#create(spec, 'created')
      if (link.kind !== 'vxlan') return Fault.of('link-conflict', `${spec.name} exists and is not ours`)
      const { vxlan } = link
      if (vxlan?.vni === spec.vni && vxlan.port === spec.port && vxlan.gbp === spec.gbp)
        return this.#adjust(link, spec)
      this.deleteLink(spec.name)
      return this.#create(spec, 'recreated')
    })
  }

  dump$({ family, link }: Parameters<Kernel['dump$']>[0]): Observable<Dump> {
    return this.#request$(() => {
      const routes = this.namespace.ourRoutes().filter(({ dst }) => dst.family === family)
      if (link === undefined) return { rows: routes, idleMsByMac: new Map() }
      const refused = this.#obstinacies.refusalOf('dump')
      if (refused) return refused
      if (!this.namespace.links.has(link)) return Fault.of('kernel-refused', 'dump of the tables: ENODEV')
      const idleMsByMac = this.namespace.idleMsByMac(link, this.#clock.now())
      return { rows: [...this.namespace.rowsOn(link), ...routes], idleMsByMac }
    })
  }

  apply$(ops: readonly Op[]): Observable<readonly Refusal[]> {
    return this.#request$(() => this.#write(ops))
  }

  answer(ops: readonly Op[]): void {
    for (const refusal of this.#write(ops)) this.#notices.say({ kind: 'refused', refusal })
  }

  interfaces$(): Observable<Interfaces> {
    return this.#request$(() => {
      const links = [...this.namespace.links.values()]
      const defaultLink = links.find((link) => !link.loopback && !link.vxlan)?.index
      return { links, addresses: [...this.namespace.addresses], defaultLink, defaultLink6: defaultLink }
    })
  }

  routeTo$(
    destination: Ip,
  ): Observable<{ readonly link: number; readonly source: Ip | undefined } | undefined> {
    return this.#request$(() => {
      const route = this.namespace.lookUp(destination)
      const source = this.namespace.addresses.find((a) => a.link === route?.link)?.address.address
      return route && { link: route.link, source }
    })
  }

  nextHops$(destinations: readonly Ip[]): Observable<ReadonlyMap<Ip, NextHop | undefined>> {
    return this.#request$(() => {
      return (
        this.#obstinacies.refusalOf('ip route get') ??
        new Map(destinations.map((ip) => [ip, this.namespace.nextHop(ip)]))
      )
    })
  }

  checksumOffload$(link: number): Observable<boolean> {
    return this.#request$(() => this.#offloads.of(link))
  }

  removeLink$(deviceName: string): Observable<void> {
    return this.#request$(() => {
      if (this.namespace.linkNamed(deviceName)?.kind === 'vxlan') this.deleteLink(deviceName)
    })
  }

  removeAll$(deviceName: string): Observable<void> {
    return this.#request$(() => {
      for (const row of this.namespace.ourRoutes()) this.namespace.remove(row, routeProtocol)
      if (this.namespace.linkNamed(deviceName)?.kind === 'vxlan') this.deleteLink(deviceName)
    })
  }

  // The world that happens to a kernel.

  /** A device with an address, as the underlay is one. */
  addDevice(name: string, address: Cidr, mtuBytes = 1500): LinkFacts {
    const link = this.namespace.addLink({
      ...{
        name,
        kind: 'dummy',
        mac: undefined,
        mtuBytes,
        up: true,
        running: true,
        loopback: false,
        alias: '',
      },
      vxlan: undefined,
    })
    this.namespace.addresses.push({ link: link.index, address, scope: 0, secondary: false })
    return link
  }

  /** A packet to `ip`. If its next hop is unresolved the kernel asks, and sends it should an answer have come meanwhile. */
  send(ip: Ip): Way {
    const way = this.namespace.wayTo(ip, this.#clock.now())
    if (way.kind !== 'unresolved') return way
    this.#notices.ask({ link: way.link, ip: way.ip, probe: false })
    return this.namespace.wayTo(ip, this.#clock.now())
  }

  /** Somebody adds or replaces a row; a route is not ours then, and stays out where one stands unless it `replace`s. */
  put(
    row: Row | NeighbourEntry,
    route: { readonly protocol?: number; readonly replace?: boolean } = {},
  ): void {
    const { protocol = byHandProtocol, replace = true } = route
    if (this.namespace.put(row, this.#clock.now(), { protocol, replace }) !== undefined) return
    const isRow = 'kind' in row
    if (isRow && row.kind === 'route' && protocol !== routeProtocol) this.#notices.say({ kind: 'routes' })
    // What takes the place of ours without being like ours is told as the end of ours.
    const standing = isRow && (row.kind !== 'route' || protocol === routeProtocol)
    const told: Row = isRow ? row : { ...row, kind: 'neighbour', state: 'permanent' }
    const event = { kind: 'row', verb: standing ? 'add' : 'remove', row: told, by: somebody } as const
    this.#notices.say(told.kind === 'route' && !standing ? { ...event, protocol } : event)
  }

  /** Somebody deletes a row; a route of whatever protocol. */
  take(row: Row): void {
    const standing = row.kind === 'route' ? this.namespace.route(row.dst) : undefined
    if (!this.namespace.remove(row, standing?.protocol ?? 0)) return
    if (standing && standing.protocol !== routeProtocol) this.#notices.say({ kind: 'routes' })
    else this.#notices.say({ kind: 'row', verb: 'remove', row: standing?.row ?? row, by: somebody })
  }

  changeLink(name: string, change: Partial<Pick<LinkFacts, 'up' | 'mac' | 'mtuBytes'>>): void {
    const before = this.namespace.linkNamed(name)
    if (!before) return
    const { link, flushed, lost } = this.namespace.changeLink(before, change)
    for (const row of flushed) this.#notices.say({ kind: 'row', verb: 'remove', row, by: 0 })
    for (const address of lost) this.#notices.say({ kind: 'address', verb: 'remove', address })
    this.#notices.say({ kind: 'link', verb: 'add', link })
  }

  deleteLink(name: string): void {
    const link = this.namespace.linkNamed(name)
    if (!link) return
    for (const row of this.namespace.deleteLink(link))
      this.#notices.say({ kind: 'row', verb: 'remove', row, by: 0 })
    this.#notices.say({ kind: 'link', verb: 'remove', link })
  }

  addAddress(address: InterfaceAddress): void {
    this.namespace.addresses.push(address)
    this.#notices.say({ kind: 'address', verb: 'add', address })
  }

  removeAddress(address: InterfaceAddress): void {
    for (const row of this.namespace.removeAddress(address))
      this.#notices.say({ kind: 'row', verb: 'remove', row, by: 0 })
    this.#notices.say({ kind: 'address', verb: 'remove', address })
  }

  /** What happens in `during` is not notified: the listener's buffer is full. {@link overrun} tells it so. */
  unheard(during: () => void): void {
    this.#notices.lost = true
    during()
    this.#notices.lost = false
  }

  overrun(): void {
    this.#notices.say({ kind: 'overrun' })
  }

  /** Refuses what begins with the command (a row's, `ip link add …` or `dump`), once or until {@link accept}. */
  refuse(command: string, fault: Fault, times: 'once' | 'always'): void {
    this.#obstinacies.add({ command, fault, once: times === 'once' })
  }
  accept(): void {
    this.#obstinacies.clear()
  }

  #create(spec: VxlanSpec, did: 'created' | 'recreated'): EnsuredLink {
    const link = this.namespace.addLink(Namespace.factsOf(spec))
    this.#notices.say({ kind: 'link', verb: 'add', link })
    for (const address of spec.addresses)
      this.addAddress({ link: link.index, address, scope: 0, secondary: false })
    this.#offloads.set(link.index, spec.checksumOffload)
    return { index: link.index, mac: spec.mac, did }
  }

  #adjust(link: LinkFacts, spec: VxlanSpec): EnsuredLink {
    const { index } = link
    const wanted = { ...Namespace.factsOf(spec), index }
    const own = this.namespace.addresses.filter((a) => a.link === index)
    const missing = spec.addresses.filter((a) => !own.some((b) => Cidr.equals(a, b.address)))
    const surplus = own.filter(
      ({ address }) =>
        spec.overlay.some((network) => Cidr.contains(network, address.address)) &&
        !spec.addresses.some((a) => Cidr.equals(a, address)),
    )
    const same = Namespace.sameLink(link, wanted)
    for (const address of missing) this.addAddress({ link: index, address, scope: 0, secondary: false })
    for (const address of surplus) this.removeAddress(address)
    if (!same) this.changeLink(link.name, wanted)
    const changed =
      this.#offloads.set(index, spec.checksumOffload) || !same || missing.length > 0 || surplus.length > 0
    return { index, mac: spec.mac, did: changed ? 'changed' : 'nothing' }
  }

  #write(ops: readonly Op[]): readonly Refusal[] {
    return ops.flatMap((op) => {
      const command = printOp(op, this.namespace.links.get(op.row.link)?.name ?? `#${String(op.row.link)}`)
      const refused = this.#obstinacies.refusalOf(command)
      if (refused) return { op, fault: refused }
      const error = this.namespace.write(
        this.namespace.takesOver(op) ? { ...op, replace: true } : op,
        this.#clock.now(),
      )
      const fault = error && this.#judge(op.row, error, command)
      return fault ? { op, fault } : []
    })
  }

  /** EEXIST for a route: ours as wanted is no refusal, somebody else's has a fault of its own. */
  #judge(row: Row, error: RowError, command: string): Fault | undefined {
    if (error !== 'EEXIST' || row.kind !== 'route') return Fault.of('kernel-refused', `${command}: ${error}`)
    if (this.namespace.holds(row)) return undefined
    return this.#isOurs(row)
      ? Fault.of('kernel-refused', `${command}: EEXIST`)
      : Fault.of('route-conflict', command)
  }

  #isOurs(row: Route): boolean {
    return this.namespace.route(row.dst)?.protocol === routeProtocol
  }

  #request$<T>(run: () => T | Fault): Observable<T> {
    return defer(() => {
      const result = run()
      const answer$ = Fault.is(result) ? throwError(() => result) : of(result)
      return this.#latencyMs === 0 ? answer$ : timer(this.#latencyMs).pipe(concatMap(() => answer$))
    })
  }
}
