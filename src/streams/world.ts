import type { FilterSpec } from '../core/filter/masquerade.ts'
import type { ForwardingOptions } from '../core/forwarding.ts'
import type { OnConfigChange } from '../core/overlay/config-change.ts'
import type { Ip } from '../core/net/ip.ts'
import type { Ipv4 } from '../core/net/ipv4.ts'
import type { SubnetKey } from '../core/overlay/record.ts'
import type { Ipv6 } from '../core/net/ipv6.ts'
import type { Clock } from '../ports/clock.ts'
import type { Host } from '../ports/host.ts'
import type { Kernel } from '../ports/kernel.ts'
import type { LeaseStore } from '../ports/lease-store.ts'
import type { PacketFilter } from '../ports/packet-filter.ts'
import type { OnConflict } from './lease.ts'

/** Everything outside the process. */
export interface World {
  readonly kernel: Kernel
  readonly store: LeaseStore
  readonly host: Host
  readonly clock: Clock
  readonly filter: PacketFilter
}

/** What the user decides about an agent. */
export interface AgentSettings extends ForwardingOptions {
  readonly iface: readonly string[]
  readonly ifaceRegex: readonly RegExp[]
  readonly ifaceCanReach: Ip | undefined
  readonly publicIp: Ipv4 | undefined
  readonly publicIp6: Ipv6 | undefined
  readonly device: string | undefined
  /** Of the VXLAN devices; undefined: as they stand. */
  readonly checksumOffload: boolean | undefined
  /** The only subnet that will do. */
  readonly subnet: SubnetKey | undefined
  readonly onConflict: OnConflict
  readonly onConfigChange: OnConfigChange
  readonly leaseTtlSeconds: number
  /** How often the tables are compared with the kernel although nothing happened. */
  readonly resyncMs: number
  readonly filter: Omit<FilterSpec, 'families'>
  /** Each miss is an event; only for the log at its most talkative. */
  readonly tellMisses?: boolean
}
