import type { Cidr4, Cidr6 } from '../net/cidr.ts'
import type { Port, Vni } from '../net/vni.ts'

/** The overlay as `<prefix>/config` describes it, with every default filled in. */
export interface NetworkConfig {
  readonly ipv4: SubnetRange<Cidr4> | undefined
  readonly ipv6: SubnetRange<Cidr6> | undefined
  readonly backend: Backend
}

/** Where the hosts' subnets of one family come from. */
export interface SubnetRange<C> {
  readonly network: C
  /** Prefix length of each host's subnet. */
  readonly subnetLength: number
  /** First subnet that may be leased. */
  readonly subnetMin: C
  /** Last subnet that may be leased. */
  readonly subnetMax: C
}

export type Backend = VxlanBackend | { readonly kind: 'host-gw' }

export interface VxlanBackend {
  readonly kind: 'vxlan'
  readonly vni: Vni
  readonly port: Port
  /** As configured; without it the underlay's MTU less the overhead. */
  readonly mtuBytes: number | undefined
  readonly gbp: boolean
  readonly learning: boolean
  readonly directRouting: boolean
}
