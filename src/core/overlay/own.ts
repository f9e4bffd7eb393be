import type { Ipv4 } from '../net/ipv4.ts'
import type { Ipv6 } from '../net/ipv6.ts'
import type { Cidr4, Cidr6 } from '../net/cidr.ts'
import type { Mac } from '../net/mac.ts'
import type { NetworkConfig } from './network-config.ts'

/** Who this host is in the overlay: what it publishes, or is about to. */
export interface OwnIdentity {
  /** Stable host id, the `Node` of its record. */
  readonly node: string
  readonly publicIp: Ipv4
  readonly publicIp6: Ipv6 | undefined
  readonly vtepMac: Mac
  readonly vtepMac6: Mac | undefined
}

/** The subnet that this host holds. */
export interface OwnLease {
  /** Key below `<prefix>/subnets/`. */
  readonly key: string
  readonly subnet: Cidr4
  readonly subnet6: Cidr6 | undefined
  /** etcd lease id, decimal; `'0'` for a reservation. */
  readonly leaseId: string
}

/** Everything about ourselves that decides which peers are admitted and which rows follow. */
export interface OwnContext {
  readonly config: NetworkConfig
  readonly identity: OwnIdentity
  /** Undefined until a subnet is held. */
  readonly lease: OwnLease | undefined
}
