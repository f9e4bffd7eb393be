import { Cidr } from './net/cidr.ts'
import type { Ip } from './net/ip.ts'
import type { Fault } from './fault.ts'
import { containerNeighbour, hostRows, overlayRoute, rowsInAddOrder } from './kernel/desired.ts'
import { type Dump, type Op, type Row, routeKey, rowKey } from './kernel/rows.ts'
import { Tables } from './kernel/tables.ts'
import { ActiveHosts } from './overlay/active-hosts.ts'
import { AnsweredContainers } from './overlay/answered-containers.ts'
import { type MissResult, noMisses } from './overlay/miss.ts'
import type { OwnContext } from './overlay/own.ts'
import type { Peer, PeerChange } from './overlay/peer.ts'
import { PeerDirectory } from './overlay/peer-directory.ts'
import { missedByWatch } from './overlay/audit.ts'
import type { RecordEvent, StoredRecord } from './overlay/record.ts'
import { RemovalPolicy, type RemovalOptions } from './overlay/removal.ts'
import { SubnetIndex } from './overlay/subnet-index.ts'
import { Millis } from './time.ts'
import { TokenBucket } from './token-bucket.ts'

export interface ForwardingOptions {
  /** `eager`: every host has its rows. `on-miss`: only the hosts in use have. */
  readonly resolve: 'eager' | 'on-miss'
  /** Most hosts with rows in `on-miss`. */
  readonly maxNeighbours: number
  /** In `on-miss`, rows unused for so long go; 0 keeps them for ever. */
  readonly idle: Millis
  readonly removal: RemovalOptions
}

/** The answer to a miss, to be written at once and in this order. */
export interface MissAnswer {
  readonly result: MissResult
  readonly ops: readonly Op[]
}

/** The kernel asks again after a second; anything sooner is the same question seen twice. */
const sameQuestion = Millis.of(50)

/**
 * The forwarding state of this host, in one place: who the peers are, which rows follow, what the kernel is
 * believed to hold. Events go in, operations come out; it never acts. The table path and the miss path share it,
 * so they can't disagree.
 */
export class Forwarding {
  readonly directory = new PeerDirectory()
  readonly removal: RemovalPolicy
  readonly misses = noMisses()
  /** Records that the watch should have told of and an audit had to find. */
  missedEvents = 0
  readonly #options: ForwardingOptions
  readonly #peers = new Map<string, Peer>()
  readonly #since = new Map<string, Millis>()
  readonly #index = new SubnetIndex()
  readonly #active: ActiveHosts
  readonly #answered = new AnsweredContainers()
  readonly #bucket = new TokenBucket({ ratePerSecond: 20_000, burst: 20_000 })
  #tables = new Tables()
  #own: OwnContext | undefined
  #link: number | undefined
  #overlayRoute: Row | undefined
  /** The kernel's tables have been read since the device came: before, everything would be written again. */
  #read = false
  #prune = false
  #revision = 0

  constructor(options: ForwardingOptions) {
    this.#options = options
    this.removal = new RemovalPolicy(options.removal)
    this.#active = new ActiveHosts(options.resolve === 'on-miss' ? options.maxNeighbours : Infinity)
  }

  /** Peers in force: admitted ones and held ones. */
  get peers(): ReadonlyMap<string, Peer> {
    return this.#peers
  }
  get tables(): Tables {
    return this.#tables
  }
  get link(): number | undefined {
    return this.#link
  }
  /** A whole snapshot from etcd has been seen, so what is not wanted may be deleted. */
  get mayPrune(): boolean {
    return this.#prune
  }
  /** When the peer was first seen as it is now. */
  since(peer: Peer): Millis {
    return this.#since.get(peer.key) ?? Millis.of(0)
  }
  /** The kernel shall have rows for this peer. */
  hasRows(peer: Peer): boolean {
    return this.#options.resolve === 'eager' || this.#active.has(peer.key)
  }

  setOwn(own: OwnContext, now: Millis): void {
    this.#own = own
    this.#applyPeers(this.directory.setOwn(own), now)
    const held = own.lease?.subnet
    if (held)
      this.#takeEffect(
        this.removal.release(({ subnet }) => Cidr.overlaps(subnet, held)),
        now,
      )
    this.#wantOverlayRoute()
  }

  /** The device has (another) interface index: everything is wanted there; a dump has to follow. */
  setLink(link: number): void {
    if (link === this.#link) {
      this.#tables.retryNow() // the device was in doubt, and may have been the reason
      return
    }
    this.#link = link
    this.#read = false
    this.#tables = new Tables()
    this.#answered.clear()
    this.#wantOverlayRoute()
    for (const peer of this.#peers.values()) if (this.hasRows(peer)) this.#wantHost(peer, link)
  }

  /** The device is gone, and its rows with it: nothing can be written until there is another. */
  dropLink(): void {
    this.#link = undefined
    this.#tables = new Tables()
    this.#answered.clear()
  }

  /** Records of the last run, from disk: they justify no deletion. */
  recall(records: readonly StoredRecord[], now: Millis): void {
    this.#applyPeers(this.directory.apply({ kind: 'snapshot', records }), now)
  }

  /** What etcd says, up to `revision`. */
  records(event: RecordEvent, revision: number, now: Millis): void {
    if (event.kind === 'snapshot' && event.audit && this.#prune)
      this.missedEvents += missedByWatch(this.directory.records(), event.records, this.#revision)
    this.#applyPeers(this.directory.apply(event), now)
    this.#revision = Math.max(this.#revision, revision)
    if (event.kind === 'snapshot') this.#prune = true
  }

  /** The kernel is about to be asked; to be told before each {@link dumped}. */
  dumping(): void {
    this.#tables.dumping()
  }

  /** The whole truth from the kernel, with the FDB's own word on which hosts are in use. */
  dumped(dump: Dump, now: Millis): void {
    this.#read = true
    this.#tables.dumped(dump.rows)
    for (const peer of this.#peers.values()) this.#adopt(peer, now)
    this.#expireIdle(dump.idleMsByMac, now)
  }

  /** On our device, or a route on any device in the place of one of ours. */
  concerns(row: Row): boolean {
    return row.link === this.#link || (row.kind === 'route' && this.#tables.routes.desired.has(rowKey(row)))
  }

  /** Somebody else changed a row; whether that has to be repaired. */
  edited(verb: Op['verb'], row: Row): boolean {
    return this.#tables.edited(verb, row)
  }

  /** The kernel's answer to what {@link take} handed out is complete; what it refused has been told. */
  answered(ops: readonly Op[]): void {
    for (const op of ops) this.#tables.answered(op)
  }

  refused(op: Op, fault: Fault, now: Millis): void {
    if (op.verb === 'add' && op.row.link !== this.#link) return // a late word about a device that is gone
    this.#tables.refused(op, fault, now)
  }

  /** The miss path: one look-up; nothing here may wait. */
  miss(ip: Ip, now: Millis): MissAnswer {
    const answer = this.#answerTo(ip, now)
    this.misses[answer.result]++
    return answer
  }

  /** Lets time pass: held peers expire, answered containers hand over to their host's route. */
  tick(now: Millis): void {
    this.#takeEffect(this.removal.expire(now), now) // not doubted a second time
    const isRouted = (ip: Ip): boolean => this.#routeStands(this.#index.find(ip))
    for (const row of this.#answered.handOver(now, isRouted)) this.#tables.unwant(row)
  }

  /** What the kernel is owed next, at most `limit`; believed done from here on, so write it at once. */
  take(now: Millis, limit: number): readonly Op[] {
    return this.#read ? this.#tables.take(now, { limit, prune: this.#prune }) : []
  }

  /** When {@link tick} or {@link take} has work again. */
  nextDeadline(): Millis | undefined {
    const due = [this.removal.nextDeadline(), this.#tables.nextRetry(), this.#answered.nextDeadline()].filter(
      (at) => at !== undefined,
    )
    return due.length === 0 ? undefined : Millis.of(Math.min(...due))
  }

  #expireIdle(idleMsByMac: ReadonlyMap<number, number>, now: Millis): void {
    if (this.#options.resolve === 'eager') return
    for (const key of [...this.#active.keys()]) {
      const idle = idleMsByMac.get(this.#peers.get(key)?.vtepMac ?? 0)
      if (idle !== undefined) this.#active.use(key, Millis.of(now - idle))
    }
    if (this.#options.idle === 0) return
    for (const key of this.#active.expire(Millis.of(now - this.#options.idle))) this.#unwantHost(key)
  }

  #answerTo(ip: Ip, now: Millis): MissAnswer {
    const link = this.#link
    if (link === undefined || !this.#own) return silence('not-ready')
    if (this.#isOwn(ip)) return silence('own')
    const peer = this.#index.find(ip)
    if (!peer) return silence('stranger')
    if ((this.#answered.answeredAt(ip) ?? -Infinity) + sameQuestion > now) return silence('throttled')
    if (!this.#bucket.take(now)) return silence('limited')
    const known = this.hasRows(peer)
    this.#activate(peer, now)
    return { result: known ? 'answered' : 'promoted', ops: this.#answerRows(peer, ip, { link, now }) }
  }

  /** The host's rows again (the question is evidence that one is missing), and the asked address itself. */
  #answerRows(peer: Peer, ip: Ip, at: { readonly link: number; readonly now: Millis }): readonly Op[] {
    const { fdb, neighbour, route } = hostRows(peer, at.link)
    const rows: Row[] = this.#routeStands(peer) ? [fdb, neighbour] : [fdb, neighbour, route]
    if (ip !== peer.subnet.address) {
      const row = containerNeighbour(peer, ip, at.link)
      this.#answered.note(ip, row, at.now)
      rows.push(row)
    }
    for (const row of rows) {
      this.#tables.want(row)
      this.#tables.saw(row)
    }
    return rows.map((row) => ({ verb: 'add', row }))
  }

  #applyPeers(changes: readonly PeerChange[], now: Millis): void {
    this.#takeEffect(this.removal.admit(changes, now), now)
  }

  #takeEffect(changes: readonly PeerChange[], now: Millis): void {
    for (const { before } of changes) if (before) this.#remove(before)
    for (const { after } of changes) if (after) this.#add(after, now)
    for (const { key } of changes) if (!this.#peers.has(key)) this.#active.forget(key)
  }

  #remove(peer: Peer): void {
    this.#peers.delete(peer.key)
    this.#since.delete(peer.key)
    this.#index.delete(peer)
    if (this.#link === undefined) return
    this.#unwantRows(peer, this.#link)
  }

  #add(peer: Peer, now: Millis): void {
    this.#peers.set(peer.key, peer)
    this.#since.set(peer.key, now)
    this.#index.set(peer)
    this.#adopt(peer, now)
    if (this.#link === undefined) return
    if (this.hasRows(peer)) this.#wantHost(peer, this.#link)
  }

  /** After a restart: a host whose route stands was in use. */
  #adopt(peer: Peer, now: Millis): void {
    if (this.#options.resolve === 'eager' || this.#active.has(peer.key)) return
    if (this.#tables.routes.actual.has(routeKey(peer.subnet))) this.#activate(peer, now)
  }

  #activate(peer: Peer, now: Millis): void {
    if (this.#options.resolve === 'eager') return
    const fresh = !this.#active.has(peer.key)
    const evicted = this.#active.use(peer.key, now)
    if (evicted !== undefined) this.#unwantHost(evicted)
    if (fresh && this.#link !== undefined) this.#wantHost(peer, this.#link)
  }

  #isOwn(ip: Ip): boolean {
    return this.#own?.lease !== undefined && Cidr.contains(this.#own.lease.subnet, ip)
  }

  /** Nothing is left to stand for an address that no peer has any more. */
  #routeStands(peer: Peer | undefined): boolean {
    const key = peer && routeKey(peer.subnet)
    const { actual, failures } = this.#tables.routes
    return key === undefined || (actual.has(key) && !failures.has(key))
  }

  #wantHost(peer: Peer, link: number): void {
    for (const row of rowsInAddOrder(hostRows(peer, link))) this.#tables.want(row)
  }

  #unwantHost(key: string): void {
    const peer = this.#peers.get(key)
    if (peer && this.#link !== undefined) this.#unwantRows(peer, this.#link)
  }

  /** With the answered containers of the host: without its FDB entry their rows would swallow what they get. */
  #unwantRows(peer: Peer, link: number): void {
    for (const row of rowsInAddOrder(hostRows(peer, link))) this.#tables.unwant(row)
    for (const row of this.#answered.takeWithin(peer.subnet)) this.#tables.unwant(row)
  }

  #wantOverlayRoute(): void {
    const network = this.#own?.config.ipv4?.network
    if (this.#overlayRoute) this.#tables.unwant(this.#overlayRoute)
    if (this.#options.resolve === 'eager' || !network || this.#link === undefined) return
    this.#overlayRoute = overlayRoute(network, this.#link)
    this.#tables.want(this.#overlayRoute)
  }
}

const silence = (result: MissResult): MissAnswer => ({ result, ops: [] })
