import { Cidr } from '../net/cidr.ts'
import { Ipv4 } from '../net/ipv4.ts'
import { Mac } from '../net/mac.ts'
import type { Peer } from './peer.ts'

/** A peer that passed admission, and its age. */
export interface Contender {
  readonly peer: Peer
  readonly createRevision: number
}

/** Something that only one peer may have, in words: `MAC 02:00:00:00:00:01`. */
export type Claim = string

/** Who won against a contender, and what both claim. */
export interface Defeat {
  readonly by: string
  readonly claim: Claim
}

/** Two peers with one of these in common would take each other's packets. */
export const claimsOf = (peer: Peer): readonly Claim[] => {
  const known = claimsByPeer.get(peer)
  if (known) return known
  const claims = makeClaims(peer)
  claimsByPeer.set(peer, claims)
  return claims
}

/** Peers never change, and each is asked several times: the text is half of what a big snapshot costs. */
const claimsByPeer = new WeakMap<Peer, readonly Claim[]>()

const makeClaims = (peer: Peer): readonly Claim[] => {
  const claims = [
    `subnet ${Cidr.print(peer.subnet)}`,
    `VTEP MAC ${Mac.print(peer.vtepMac)}`,
    `public address ${Ipv4.print(peer.publicIp)}`,
  ]
  if (peer.subnet6) claims.push(`subnet ${Cidr.print(peer.subnet6)}`)
  // The IPv6 device is another device with an FDB of its own: its MACs compete among themselves.
  if (peer.vtepMac6 !== undefined) claims.push(`IPv6 VTEP MAC ${Mac.print(peer.vtepMac6)}`)
  if (peer.node !== undefined) claims.push(identityOf(peer))
  return claims
}

/** Without a node id, as flannel writes it, the public address is the host. */
const identityOf = (peer: Peer): Claim =>
  peer.node === undefined ? `public address ${Ipv4.print(peer.publicIp)}` : `node ${peer.node}`

/**
 * Who of them is a peer: a function of the set, whatever the order in which it came together. A host's newest
 * record speaks for it; between hosts whoever was there first keeps what both claim, so that a newcomer can't
 * take over a running host's traffic.
 */
export const arbitrate = (contenders: readonly Contender[]): ReadonlyMap<string, Defeat> => {
  const defeats = new Map<string, Defeat>()
  const speakers = new Map<Claim, Contender>()
  for (const contender of contenders.toSorted(newestFirst)) {
    const identity = identityOf(contender.peer)
    const speaker = speakers.get(identity)
    if (speaker) defeats.set(contender.peer.key, { by: speaker.peer.key, claim: identity })
    else speakers.set(identity, contender)
  }
  const owners = new Map<Claim, string>()
  for (const { peer } of [...speakers.values()].sort(oldestFirst)) {
    const claims = claimsOf(peer)
    const lost = claims.find((claim) => owners.has(claim))
    const by = lost === undefined ? undefined : owners.get(lost)
    if (lost !== undefined && by !== undefined) defeats.set(peer.key, { by, claim: lost })
    else for (const claim of claims) owners.set(claim, peer.key)
  }
  return defeats
}

/** The contenders by what they claim, so that a change looks only at those whom it can concern. */
export class ClaimIndex {
  // Mutable: one change out of ten thousand contenders must not copy them all.
  readonly #contenders = new Map<string, Contender>()
  readonly #keysByClaim = new Map<Claim, Set<string>>()

  get(key: string): Contender | undefined {
    return this.#contenders.get(key)
  }

  put(contender: Contender): void {
    const key = contender.peer.key
    this.delete(key)
    this.#contenders.set(key, contender)
    for (const claim of claimsOf(contender.peer)) {
      const keys = this.#keysByClaim.get(claim)
      if (keys) keys.add(key)
      else this.#keysByClaim.set(claim, new Set([key]))
    }
  }

  delete(key: string): void {
    const contender = this.#contenders.get(key)
    if (!contender) return
    this.#contenders.delete(key)
    for (const claim of claimsOf(contender.peer)) {
      const keys = this.#keysByClaim.get(claim)
      keys?.delete(key)
      if (keys?.size === 0) this.#keysByClaim.delete(claim)
    }
  }

  /** Who claims that, in no particular order. */
  claimants(claim: Claim): Iterable<string> {
    return this.#keysByClaim.get(claim) ?? []
  }

  /** Those contenders and everybody with whom they compete, directly or through others. */
  component(keys: Iterable<string>): readonly Contender[] {
    const found = new Map<string, Contender>()
    const seen = new Set<Claim>() // each claim once, or a thousand rivals for one thing would cost a million steps
    const open = [...keys]
    for (let key = open.pop(); key !== undefined; key = open.pop()) {
      const contender = this.#contenders.get(key)
      if (!contender || found.has(key)) continue
      found.set(key, contender)
      for (const claim of claimsOf(contender.peer)) {
        if (seen.has(claim)) continue
        seen.add(claim)
        for (const rival of this.claimants(claim)) if (!found.has(rival)) open.push(rival)
      }
    }
    return [...found.values()]
  }
}

const newestFirst = (a: Contender, b: Contender): number =>
  b.peer.modRevision - a.peer.modRevision || byKey(a, b)
const oldestFirst = (a: Contender, b: Contender): number => a.createRevision - b.createRevision || byKey(a, b)
const byKey = (a: Contender, b: Contender): number => (a.peer.key < b.peer.key ? -1 : 1)
