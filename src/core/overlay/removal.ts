import { Millis } from '../time.ts'
import { type Claim, claimsOf } from './contention.ts'
import { type Peer, type PeerChange, samePeer } from './peer.ts'

export interface RemovalOptions {
  /** How long a vanished peer's entries stay. */
  readonly holdMs: Millis
  /** How long they stay when many vanish together. */
  readonly brakeHoldMs: Millis
  /** More than this share of the peers is many, … */
  readonly brakeShare: number
  /** … if it is also more than this number. */
  readonly brakeCount: number
}

export const removalDefaults: RemovalOptions = {
  holdMs: Millis.seconds(60),
  brakeHoldMs: Millis.seconds(600),
  brakeShare: 0.3,
  brakeCount: 10,
}

export interface HeldPeer {
  readonly peer: Peer
  readonly until: Millis
  readonly why: 'deleted' | 'vanished' | 'mass'
}

/** Departures within this time count as together. */
const together = Millis.seconds(60)

type Doubtful = 'deleted' | 'vanished'
type Hold = HeldPeer & { readonly reason: Doubtful }

/**
 * Deletes are doubted: an expired lease, a wiped store and a wrong `etcdctl del` look alike, and a host without
 * its record mostly still runs. So a peer that is gone from etcd keeps its entries for a while, unless it said
 * that it leaves or somebody else needs what it had.
 *
 * Mutable inside, like the tables that it delays; time is handed in.
 */
export class RemovalPolicy {
  readonly #options: RemovalOptions
  readonly #held = new Map<string, Hold>()
  readonly #owners = new Map<Claim, string>()
  readonly #heldByClaim = new Map<Claim, Set<string>>()
  readonly #live = new Map<string, Peer>()
  /** When each peer went that has not come back, in order of time. */
  readonly #departures = new Map<string, Millis>()
  #brakeUntil: Millis | undefined

  constructor(options: Partial<RemovalOptions> = {}) {
    this.#options = { ...removalDefaults, ...options }
  }

  /** What of that takes effect now; removals first. */
  admit(changes: readonly PeerChange[], now: Millis): readonly PeerChange[] {
    // The whole batch first: who goes and who comes in its stead may stand in either order.
    for (const { before } of changes) if (before) this.#leave(before)
    const arrivals = changes.flatMap((change) => (change.after ? this.#arrive(change, change.after) : []))
    const removals: PeerChange[] = []
    for (const change of changes) if (!change.after) removals.push(...this.#depart(change, now))
    this.#brake(now)
    if (this.#held.size > 0)
      for (const { after } of changes) if (after) removals.push(...this.#replaced(after))
    return [...removals, ...arrivals]
  }

  /** Removals whose time has come. */
  expire(now: Millis): readonly PeerChange[] {
    return [...this.#held.values()].filter(({ until }) => until <= now).map((hold) => this.#release(hold))
  }

  /** Held peers that have to give way at once. */
  release(which: (peer: Peer) => boolean): readonly PeerChange[] {
    return [...this.#held.values()].filter(({ peer }) => which(peer)).map((hold) => this.#release(hold))
  }

  nextDeadline(): Millis | undefined {
    let next: Millis | undefined
    for (const { until } of this.#held.values()) if (next === undefined || until < next) next = until
    return next
  }

  held(): ReadonlyMap<string, HeldPeer> {
    return this.#held
  }

  #leave(peer: Peer): void {
    const live = this.#live.get(peer.key)
    if (!live) return
    this.#live.delete(peer.key)
    for (const claim of claimsOf(live)) if (this.#owners.get(claim) === peer.key) this.#owners.delete(claim)
  }

  #arrive(change: PeerChange, peer: Peer): readonly PeerChange[] {
    this.#live.set(peer.key, peer)
    for (const claim of claimsOf(peer)) this.#owners.set(claim, peer.key)
    this.#departures.delete(peer.key)
    const hold = this.#held.get(peer.key)
    if (!hold) return [change]
    this.#release(hold)
    return samePeer(hold.peer, peer) ? [] : [{ ...change, before: hold.peer }]
  }

  #depart({ key, before, reason = 'deleted' }: PeerChange, now: Millis): readonly PeerChange[] {
    if (!before) return []
    const removal: PeerChange = { key, before, after: undefined, reason }
    if (reason === 'announced' || reason === 'outranked') return [removal]
    if (claimsOf(before).some((claim) => this.#owners.has(claim))) return [removal]
    this.#departures.delete(key)
    this.#departures.set(key, now)
    this.#hold({ peer: before, until: Millis.add(now, this.#options.holdMs), why: reason, reason })
    return []
  }

  /** Held peers whose subnet, address or MAC now is somebody else's. */
  #replaced(peer: Peer): readonly PeerChange[] {
    const keys = new Set(claimsOf(peer).flatMap((claim) => [...(this.#heldByClaim.get(claim) ?? [])]))
    return [...keys].flatMap((key) => {
      const hold = this.#held.get(key)
      return hold ? [this.#release(hold)] : []
    })
  }

  /** Many at once means that etcd was wiped, restored or mishandled, rather than that so many hosts died. */
  #brake(now: Millis): void {
    for (const [key, at] of this.#departures)
      if (at + together <= now) this.#departures.delete(key)
      else break
    const gone = this.#departures.size
    const { brakeCount, brakeShare, brakeHoldMs } = this.#options
    if (gone > brakeCount && gone > brakeShare * (this.#live.size + gone))
      this.#brakeUntil = Millis.add(now, brakeHoldMs)
    if (this.#brakeUntil === undefined || this.#brakeUntil <= now) return
    for (const [key, at] of this.#departures) {
      const hold = this.#held.get(key)
      if (!hold || hold.why === 'mass') continue
      this.#held.set(key, { ...hold, why: 'mass', until: Millis.add(at, brakeHoldMs) })
    }
  }

  #hold(hold: Hold): void {
    this.#held.set(hold.peer.key, hold)
    for (const claim of claimsOf(hold.peer)) {
      const keys = this.#heldByClaim.get(claim)
      if (keys) keys.add(hold.peer.key)
      else this.#heldByClaim.set(claim, new Set([hold.peer.key]))
    }
  }

  #release({ peer, reason }: Hold): PeerChange {
    this.#held.delete(peer.key)
    for (const claim of claimsOf(peer)) {
      const keys = this.#heldByClaim.get(claim)
      keys?.delete(peer.key)
      if (keys?.size === 0) this.#heldByClaim.delete(claim)
    }
    return { key: peer.key, before: peer, after: undefined, reason }
  }
}
