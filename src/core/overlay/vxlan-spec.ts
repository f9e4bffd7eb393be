import type { VxlanSpec } from '../kernel/link.ts'
import type { Family } from '../net/ip.ts'
import { vxlanOverheadBytes } from '../net/mtu.ts'
import type { NetworkConfig, VxlanBackend } from './network-config.ts'
import type { OwnIdentity, OwnLease } from './own.ts'
import type { SubnetKey } from './record.ts'
import type { Underlay } from './underlay.ts'

/**
 * The devices that network, host and lease call for: one for each family, as flannel has them, since the kernel's VXLAN
 * device ends at one underlay address; none for a backend without a tunnel.
 */
export const vxlanSpecs = (options: {
  readonly config: NetworkConfig
  readonly me: OwnIdentity
  readonly lease: OwnLease
  readonly underlay: Underlay
  /** Of the IPv4 device; without one: `tweed.<VNI>`. */
  readonly device: string | undefined
  readonly checksumOffload: boolean | undefined
  /** What this host held before: the device shall lose those addresses, wherever they are. */
  readonly former?: readonly SubnetKey[]
}): readonly VxlanSpec[] => {
  const { config, me, lease, underlay, checksumOffload, former = [] } = options
  const { backend, ipv4, ipv6 } = config
  if (backend.kind !== 'vxlan') return []
  const name = options.device ?? deviceName(backend.vni)
  const common = { vni: backend.vni, port: backend.port, learning: backend.learning, gbp: backend.gbp }
  const on = { ...common, underlay: underlay.link, checksumOffload }
  const specs: VxlanSpec[] = []
  if (ipv4 && me.ipv4 && lease.subnet)
    specs.push({
      ...on,
      family: 4,
      name,
      local: underlay.address ?? me.ipv4.publicIp, // behind NAT the public one is not on this host
      mac: me.ipv4.vtepMac,
      mtuBytes: mtuBytes(backend, underlay, 4),
      addresses: [{ ...lease.subnet, length: 32 }],
      overlay: [ipv4.network, ...former.flatMap(({ subnet }) => (subnet ? [{ ...subnet, length: 32 }] : []))],
    })
  if (ipv6 && me.ipv6 && lease.subnet6)
    specs.push({
      ...on,
      family: 6,
      name: deviceName6(name),
      local: underlay.address6 ?? me.ipv6.publicIp,
      mac: me.ipv6.vtepMac,
      mtuBytes: mtuBytes(backend, underlay, 6),
      addresses: [{ ...lease.subnet6, length: 128 }],
      overlay: [
        ipv6.network,
        ...former.flatMap(({ subnet6 }) => (subnet6 ? [{ ...subnet6, length: 128 }] : [])),
      ],
    })
  return specs
}

// flannel's Backend.MTU is that of the underlay too (backend/vxlan/device.go); the kernel takes none above it.
const mtuBytes = (backend: VxlanBackend, underlay: Underlay, family: Family): number =>
  Math.min(backend.mtuBytes ?? Infinity, underlay.mtuBytes) - vxlanOverheadBytes(family)

/** The largest packet that goes through everywhere: what containers are given. */
export const overlayMtuBytes = (specs: readonly VxlanSpec[], underlay: Underlay): number =>
  Math.min(underlay.mtuBytes, ...specs.map((spec) => spec.mtuBytes))

export const deviceName = (vni: number): string => `tweed.${String(vni)}`

/** As flannel's `flannel.1` and `flannel-v6.1`; shorter where that is longer than a name may be. */
export const deviceName6 = (name: string): string => {
  const [before = '', ...after] = name.split('.')
  const named = [`${before}-v6`, ...after].join('.')
  if (named.length <= longestName) return named
  const short = [`${before}6`, ...after].join('.')
  return short.length <= longestName ? short : `${name.slice(0, longestName - 3)}-v6`
}
const longestName = 15 // if.h: IFNAMSIZ, less the NUL
