import { Cidr } from '../net/cidr.ts'
import { Ipv4 } from '../net/ipv4.ts'
import { Ipv6 } from '../net/ipv6.ts'
import { Mac } from '../net/mac.ts'
import type { Peer } from './peer.ts'

/** A peer that passed admission, and its age. */
export interface Contender {
  readonly peer: Peer
  readonly createRevision: number
}

/**
 * Something that only one peer may have. A number for what IPv4 hosts have, three claims each: the kind in the
 * high bits, above the 48 of a MAC. Text for the rest.
 */
export type Claim = number | string

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

/** Peers never change, and each is asked several times. */
const claimsByPeer = new WeakMap<Peer, readonly Claim[]>()

const kindUnit = 2 ** 48
const claimKinds = ['subnet', 'VTEP MAC', 'public address', 'IPv6 VTEP MAC'] as const
const numeric = (kind: (typeof claimKinds)[number], value: number): Claim =>
  claimKinds.indexOf(kind) * kindUnit + value

const makeClaims = (peer: Peer): readonly Claim[] => {
  const claims: Claim[] = []
  const { ipv4, ipv6 } = peer
  if (ipv4) {
    claims.push(numeric('subnet', Number(Cidr.key(ipv4.subnet))))
    if (ipv4.vtepMac !== undefined) claims.push(numeric('VTEP MAC', ipv4.vtepMac))
    claims.push(numeric('public address', ipv4.publicIp))
  }
  if (ipv6) {
    claims.push(`subnet ${Cidr.print(ipv6.subnet)}`, `public address ${Ipv6.print(ipv6.publicIp)}`)
    // The IPv6 device is another device with an FDB of its own: its MACs compete among themselves.
    if (ipv6.vtepMac !== undefined) claims.push(numeric('IPv6 VTEP MAC', ipv6.vtepMac))
  }
  if (peer.node !== undefined) claims.push(identityOf(peer))
  return claims
}

/** In words: `VTEP MAC 02:00:00:00:00:01`. */
export const printClaim = (claim: Claim): string => {
  if (typeof claim === 'string') return claim
  const value = claim % kindUnit
  const kind = claimKinds[Math.floor(claim / kindUnit)] ?? 'subnet'
  if (kind === 'subnet') return `subnet ${Cidr.print(Cidr.v4(Ipv4.of(Math.floor(value / 64)), value % 64))}`
  return `${kind} ${kind === 'public address' ? Ipv4.print(Ipv4.of(value)) : Mac.print(Mac.of(value) ?? noMac)}`
}

const noMac = Mac.local([])

/** Without a node id, as flannel writes it, the public address is the host. */
const identityOf = ({ node, ipv4, ipv6 }: Peer): Claim => {
  if (node !== undefined) return `node ${node}`
  if (ipv4) return numeric('public address', ipv4.publicIp)
  return `public address ${ipv6 ? Ipv6.print(ipv6.publicIp) : ''}`
}

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
  /** Almost always one; a set for each of forty thousand claims would be most of the memory. */
  readonly #keysByClaim = new Map<Claim, string | Set<string>>()

  get(key: string): Contender | undefined {
    return this.#contenders.get(key)
  }

  put(contender: Contender): void {
    const key = contender.peer.key
    this.delete(key)
    this.#contenders.set(key, contender)
    for (const claim of claimsOf(contender.peer)) {
      const keys = this.#keysByClaim.get(claim)
      if (keys === undefined) this.#keysByClaim.set(claim, key)
      else if (typeof keys === 'string') this.#keysByClaim.set(claim, new Set([keys, key]))
      else keys.add(key)
    }
  }

  delete(key: string): void {
    const contender = this.#contenders.get(key)
    if (!contender) return
    this.#contenders.delete(key)
    for (const claim of claimsOf(contender.peer)) {
      const keys = this.#keysByClaim.get(claim)
      if (typeof keys === 'object' && keys.size > 1) keys.delete(key)
      else this.#keysByClaim.delete(claim)
    }
  }

  /** Somebody else claims some of the same; without, it is a peer and nothing has to be weighed. */
  isContested({ peer }: Contender): boolean {
    return claimsOf(peer).some((claim) => {
      const keys = this.#keysByClaim.get(claim)
      return typeof keys === 'object' && keys.size > 1
    })
  }

  /** Who claims that, in no particular order. */
  claimants(claim: Claim): Iterable<string> {
    const keys = this.#keysByClaim.get(claim)
    return typeof keys === 'string' ? [keys] : (keys ?? [])
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
