import type { Ipv4 } from '../net/ipv4.ts'
import type { Ipv6 } from '../net/ipv6.ts'
import type { Cidr4, Cidr6 } from '../net/cidr.ts'
import type { Mac } from '../net/mac.ts'

/** Another host of the overlay, admitted: every field has passed the validator. */
export interface Peer {
  /** Its key below `<prefix>/subnets/`; the identity of a peer in every table. */
  readonly key: string
  readonly subnet: Cidr4
  readonly subnet6: Cidr6 | undefined
  readonly publicIp: Ipv4
  readonly publicIp6: Ipv6 | undefined
  readonly vtepMac: Mac
  readonly vtepMac6: Mac | undefined
  readonly node: string | undefined
  readonly leaving: boolean
  readonly modRevision: number
}

/** Alike for forwarding and for people: flannel writes the same again every day, which is no change. */
export const samePeer = (a: Peer, b: Peer): boolean =>
  a.key === b.key &&
  a.publicIp === b.publicIp &&
  a.publicIp6 === b.publicIp6 &&
  a.vtepMac === b.vtepMac &&
  a.vtepMac6 === b.vtepMac6 &&
  (a.subnet6 === undefined) === (b.subnet6 === undefined) && // the key says which
  a.node === b.node &&
  a.leaving === b.leaving

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
