import type { VxlanSpec } from '../kernel/link.ts'
import { Cidr } from '../net/cidr.ts'
import { vxlanOverheadBytes } from '../net/mtu.ts'
import type { NetworkConfig } from './network-config.ts'
import type { OwnIdentity, OwnLease } from './own.ts'
import type { Underlay } from './underlay.ts'

/** The device that network, host and lease call for; undefined for a backend without one. */
export const vxlanSpec = (options: {
  readonly config: NetworkConfig
  readonly me: OwnIdentity
  readonly lease: OwnLease
  readonly underlay: Underlay
  /** Without one: `tweed.<VNI>`. */
  readonly device: string | undefined
}): VxlanSpec | undefined => {
  const { config, me, lease, underlay } = options
  const { backend, ipv4 } = config
  if (backend.kind !== 'vxlan' || !ipv4) return undefined
  return {
    name: options.device ?? deviceName(backend.vni),
    vni: backend.vni,
    port: backend.port,
    underlay: underlay.link,
    local: underlay.address,
    mac: me.vtepMac,
    // flannel's Backend.MTU is that of the underlay too (backend/vxlan/device.go); the kernel takes none above it.
    mtuBytes: Math.min(backend.mtuBytes ?? Infinity, underlay.mtuBytes) - vxlanOverheadBytes(4),
    learning: backend.learning,
    gbp: backend.gbp,
    addresses: [Cidr.v4(lease.subnet.address, 32)],
    overlay: [ipv4.network],
  }
}

export const deviceName = (vni: number): string => `tweed.${String(vni)}`
