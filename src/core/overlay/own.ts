import type { Ipv4 } from '../net/ipv4.ts'
import type { Ipv6 } from '../net/ipv6.ts'
import { Ip } from '../net/ip.ts'
import type { Mac } from '../net/mac.ts'
import type { NetworkConfig } from './network-config.ts'
import type { SubnetKey } from './record.ts'

/** Who this host is in the overlay: what it publishes, or is about to. */
export interface OwnIdentity {
  /** Stable host id, the `Node` of its record. */
  readonly node: string
  /** How the underlay reaches it, by family; an IPv6-only overlay needs no IPv4. */
  readonly ipv4: OwnVtep<Ipv4> | undefined
  readonly ipv6: OwnVtep<Ipv6> | undefined
}

/** Where this host's tunnel of one family ends. */
export interface OwnVtep<A extends Ip = Ip> {
  readonly publicIp: A
  readonly vtepMac: Mac
}

/** For messages: the address that names this host. */
export const printPublicIp = ({ ipv4, ipv6 }: OwnIdentity): string => {
  const vtep = ipv4 ?? ipv6
  return vtep ? Ip.print(vtep.publicIp) : ''
}

/** The subnet that this host holds, one for each family of the network. */
export interface OwnLease extends SubnetKey {
  /** Key below `<prefix>/subnets/`. */
  readonly key: string
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
