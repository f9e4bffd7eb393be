import type { Ipv4 } from '../net/ipv4.ts'
import type { Ipv6 } from '../net/ipv6.ts'
import type { Cidr4, Cidr6 } from '../net/cidr.ts'
import type { Mac } from '../net/mac.ts'

/** A key and value below `<prefix>/subnets/`, as etcd holds them. */
export interface StoredRecord {
  /** The key without `<prefix>/subnets/`: `10.5.52.0-24`. */
  readonly key: string
  readonly value: string
  /** Revision at which the key was created; the age that decides who came first. */
  readonly createRevision: number
  readonly modRevision: number
  /** The etcd lease that it hangs on, decimal; `'0'` is none: a reservation. */
  readonly leaseId: string
}

/** The decoded key: one IPv4 subnet and, in dual stack, one IPv6 subnet. */
export interface SubnetKey {
  readonly subnet: Cidr4
  readonly subnet6: Cidr6 | undefined
}

/** The decoded value: flannel's LeaseAttrs with the fields of ours that flannel ignores. */
export interface LeaseRecord {
  readonly publicIp: Ipv4
  readonly publicIp6: Ipv6 | undefined
  /** Compared exactly, as flannel does: `vxlan`, `host-gw`, … or `''`. */
  readonly backendType: string
  readonly vni: number | undefined
  readonly vtepMac: Mac | undefined
  /** MAC of the separate IPv6 device. */
  readonly vtepMac6: Mac | undefined
  /** Stable identity of the host, ours; without it the public address is the identity. */
  readonly node: string | undefined
  /** The host has announced that it leaves. */
  readonly leaving: boolean
}
