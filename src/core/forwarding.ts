import { Cidr } from './net/cidr.ts'
import type { Family, Ip } from './net/ip.ts'
import type { Fault } from './fault.ts'
import { type Editor, type Fight, Fights } from './kernel/fights.ts'
import type { Op, Row } from './kernel/rows.ts'
import { missedByWatch } from './overlay/audit.ts'
import { noMisses } from './overlay/miss.ts'
import type { OwnContext } from './overlay/own.ts'
import { legsOf, type Peer, type PeerChange } from './overlay/peer.ts'
import { PeerDirectory } from './overlay/peer-directory.ts'
import type { RecordEvent, StoredRecord } from './overlay/record.ts'
import { directRoutingOf, type NextHop } from './overlay/reach.ts'
import { RemovalPolicy, type RemovalOptions } from './overlay/removal.ts'
import type { MissAnswer } from './miss-path.ts'
import { Plane, type PlaneOptions } from './plane.ts'
import { Millis } from './time.ts'

export type { MissAnswer } from './miss-path.ts'

export interface ForwardingOptions extends PlaneOptions {
  readonly removal: RemovalOptions
}

/** Somebody else's change of a row, which has to be repaired. */
export interface Drift {
  /** The row was as it should be before. */
  readonly isNew: boolean
  /** It is one change of many, and the repair waits. */
  readonly fight: Fight | undefined
  /** With this change it is taken for a fight. */
  readonly began: boolean
}

/**
 * The forwarding state of this host, in one place: who the peers are, and a {@link Plane} for each family that knows
 * which rows follow. Events go in, operations come out; it never acts. The table path and the miss path share it, so
 * they can't disagree.
 */
export class Forwarding {
  readonly directory = new PeerDirectory()
  readonly removal: RemovalPolicy
  readonly ipv4: Plane
  readonly ipv6: Plane
  readonly planes: readonly [Plane, Plane]
  readonly misses = noMisses()
  readonly fights = new Fights()
  /** Records that the watch should have told of and an audit had to find. */
  missedEvents = 0
  readonly #peers = new Map<string, Peer>()
  readonly #since = new Map<string, Millis>()
  /** What etcd said before it was known who we are: records of the last run have to be weighed first. */
  #early: RecordEvent[] | undefined
  #prune = false
  #revision = 0

  constructor(options: ForwardingOptions) {
    this.removal = new RemovalPolicy(options.removal)
    this.ipv4 = new Plane(4, options)
    this.ipv6 = new Plane(6, options)
    this.planes = [this.ipv4, this.ipv6]
  }

  /** Peers in force: admitted ones and held ones. */
  get peers(): ReadonlyMap<string, Peer> {
    return this.#peers
  }
  /** A whole snapshot from etcd has been seen, so what is not wanted may be deleted. */
  get mayPrune(): boolean {
    return this.#prune
  }
  /** Every table has been read since its device came. */
  get isRead(): boolean {
    return this.planes.every((plane) => plane.isRead)
  }
  plane(family: Family): Plane {
    return family === 4 ? this.ipv4 : this.ipv6
  }
  /** When the peer was first seen as it is now. */
  since(peer: Peer): Millis {
    return this.#since.get(peer.key) ?? Millis.of(0)
  }
  /** The kernel shall have rows for this peer. */
  hasRows(peer: Peer): boolean {
    return this.planes.some((plane) => plane.rowsOf(peer).length > 0)
  }

  setOwn({ config, identity, lease }: OwnContext, now: Millis): void {
    this.#applyPeers(this.directory.setOwn({ config, identity, lease }), now)
    const held = [lease?.subnet, lease?.subnet6].filter((subnet) => subnet !== undefined)
    const isInTheWay = (peer: Peer): boolean =>
      legsOf(peer).some(({ subnet }) => held.some((own) => Cidr.overlaps(subnet, own)))
    if (held.length > 0) this.#takeEffect(this.removal.release(isInTheWay), now)
    const early = this.#early ?? []
    this.#early = undefined
    for (const event of early) this.#applyPeers(this.directory.apply(event), now)
    const routing = directRoutingOf(config.backend)
    this.ipv4.setNetwork(config.ipv4?.network, lease?.subnet, routing)
    this.ipv6.setNetwork(config.ipv6?.network, lease?.subnet6, routing)
  }

  /** Records of the last run, from disk: they justify no deletion. */
  recall(records: readonly StoredRecord[], now: Millis): void {
    this.#applyPeers(this.directory.apply({ kind: 'snapshot', records }), now)
    if (records.length > 0) this.#early = []
  }

  /** What etcd says, up to `revision`. */
  records(event: RecordEvent, revision: number, now: Millis): void {
    if (event.kind === 'snapshot' && event.audit && this.#prune && !this.#early)
      this.missedEvents += missedByWatch(this.directory.records(), event.records, this.#revision)
    if (!this.#early) this.#applyPeers(this.directory.apply(event), now)
    else if (event.kind === 'snapshot') this.#early = [event]
    else this.#early.push(event)
    this.#revision = Math.max(this.#revision, revision)
    if (event.kind === 'snapshot') this.#prune = true
  }

  /** Underlay addresses of which the kernel has to be asked whether they are on a link of ours. */
  toAsk(which: 'all' | 'new'): readonly Ip[] {
    return this.planes.flatMap((plane) => plane.toAsk(which))
  }

  reached(answers: ReadonlyMap<Ip, NextHop | undefined>, now: Millis): void {
    for (const plane of this.planes) plane.reached(answers, now)
  }

  /** A device is gone, one of ours perhaps. */
  dropLink(link: number): void {
    for (const plane of this.planes) if (plane.link === link) plane.dropLink()
  }

  /** Somebody else changed a row; what has to be done about it, if anything. */
  edited(verb: Op['verb'], row: Row, by: Editor, now: Millis): Drift | undefined {
    const plane = this.planes.find((each) => each.concerns(row))
    const edit = plane?.edited(verb, row, by) ?? 'nothing'
    if (!plane || edit === 'nothing') return undefined
    if (edit === 'owed') return { isNew: false, fight: undefined, began: false }
    // Neighbours and routes go with their device, which is no fight. Nobody is named for an FDB entry (vxlan_core.c).
    if (by.port === 0 && row.kind !== 'fdb') return { isNew: true, fight: undefined, began: false }
    const { fight, began } = this.fights.repair(plane.wanted(row) ?? row, by, now)
    if (fight) plane.postpone(row, Millis.add(now, fight.pause))
    return { isNew: true, fight, began }
  }

  /** The kernel's answer to what {@link take} handed out is complete; what it refused has been told. */
  answered(ops: readonly Op[]): void {
    for (const op of ops) this.#planeOf(op.row)?.answered(op)
  }

  refused(op: Op, fault: Fault, now: Millis): void {
    this.#planeOf(op.row)?.refused(op, fault, now)
  }

  /** The miss path: one look-up; nothing here may wait. Undefined for a device that is not ours. */
  miss(link: number, ip: Ip, now: Millis): MissAnswer | undefined {
    const plane = this.planes.find((each) => each.link === link)
    const answer = plane?.miss(ip, now)
    if (answer) this.misses[answer.result]++
    return answer
  }

  /** Lets time pass: held peers expire, answered containers hand over to their host's route. */
  tick(now: Millis): void {
    this.#takeEffect(this.removal.expire(now), now) // not doubted a second time
    for (const plane of this.planes) plane.tick(now)
    this.fights.tick(now)
  }

  /** What the kernel is owed next, at most `limit`; believed done from here on, so write it at once. */
  take(now: Millis, limit: number): readonly Op[] {
    const first = this.ipv4.take(now, { limit, prune: this.#prune })
    const left = limit - first.length
    const second = left > 0 ? this.ipv6.take(now, { limit: left, prune: this.#prune }) : []
    return second.length > 0 ? [...first, ...second] : first
  }

  /** When {@link tick} or {@link take} has work again. */
  nextDeadline(): Millis | undefined {
    const due = [
      this.removal.nextDeadline(),
      this.fights.nextDeadline(),
      ...this.planes.flatMap((plane) => plane.nextDeadlines()),
    ].filter((at) => at !== undefined)
    return due.length === 0 ? undefined : Millis.of(Math.min(...due))
  }

  /** None for a row of a device that is gone. */
  #planeOf(row: Row): Plane | undefined {
    return row.kind === 'route'
      ? this.plane(row.dst.family)
      : this.planes.find((plane) => plane.link === row.link)
  }

  #applyPeers(changes: readonly PeerChange[], now: Millis): void {
    this.#takeEffect(this.removal.admit(changes, now), now)
  }

  #takeEffect(changes: readonly PeerChange[], now: Millis): void {
    if (changes.length === 0) return
    for (const { before } of changes)
      if (before) {
        this.#peers.delete(before.key)
        this.#since.delete(before.key)
      }
    for (const { after } of changes)
      if (after) {
        this.#peers.set(after.key, after)
        this.#since.set(after.key, now)
      }
    for (const plane of this.planes) plane.apply(changes, now)
  }
}
