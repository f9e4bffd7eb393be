import type { Ipv4 } from '../net/ipv4.ts'
import type { Ipv6 } from '../net/ipv6.ts'
import type { Cidr, Cidr4, Cidr6 } from '../net/cidr.ts'
import type { Family, Ip } from '../net/ip.ts'
import type { Mac } from '../net/mac.ts'

/** One family's half of a host: a subnet, and the underlay address behind which it is. */
export interface Leg<C extends Cidr = Cidr, A extends Ip = Ip> {
  readonly subnet: C
  readonly publicIp: A
  /** MAC of the VTEP of this family; undefined where there is no tunnel (host-gw). */
  readonly vtepMac: Mac | undefined
}

/** Another host of the overlay, admitted: every field has passed the validator. */
export interface Peer {
  /** Its key below `<prefix>/subnets/`; the identity of a peer in every table. */
  readonly key: string
  /** Of the families of our own network; at least one is there. */
  readonly ipv4: Leg<Cidr4, Ipv4> | undefined
  readonly ipv6: Leg<Cidr6, Ipv6> | undefined
  readonly node: string | undefined
  readonly leaving: boolean
  readonly modRevision: number
}

/** Alike for forwarding and for people: flannel writes the same again every day, which is no change. */
export const samePeer = (a: Peer, b: Peer): boolean =>
  a.key === b.key && // which says the subnets
  sameLeg(a.ipv4, b.ipv4) &&
  sameLeg(a.ipv6, b.ipv6) &&
  a.node === b.node &&
  a.leaving === b.leaving

const sameLeg = (a: Leg | undefined, b: Leg | undefined): boolean =>
  a && b ? a.publicIp === b.publicIp && a.vtepMac === b.vtepMac : a === b

export const legOf = (peer: Peer, family: Family): Leg | undefined => (family === 4 ? peer.ipv4 : peer.ipv6)

export const legsOf = ({ ipv4, ipv6 }: Peer): readonly Leg[] =>
  ipv4 ? (ipv6 ? [ipv4, ipv6] : [ipv4]) : ipv6 ? [ipv6] : []

/** What became of one peer; `before` and `after` differ. */
export interface PeerChange {
  readonly key: string
  readonly before: Peer | undefined
  readonly after: Peer | undefined
  /** Why a peer without `after` is gone. */
  readonly reason?: 'announced' | 'deleted' | 'vanished' | 'outranked'
}

/** Why a record is ignored; `rule` is for people, `code` counts. */
export interface Rejection {
  readonly key: string
  readonly code: RejectionCode
  readonly rule: string
}

/** Every reason to ignore a record (research: the validator), in the order of checking. */
export type RejectionCode =
  | 'malformed-key'
  | 'oversized'
  | 'malformed-value'
  | 'other-backend'
  | 'outside-network'
  | 'wrong-length'
  | 'own-subnet'
  | 'own-address'
  | 'own-mac'
  | 'bad-mac'
  | 'bad-public-ip'
  | 'other-vni'
  | 'outranked'
