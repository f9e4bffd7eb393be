import { Cidr } from '../net/cidr.ts'
import { Ip } from '../net/ip.ts'
import { Mac } from '../net/mac.ts'
import type { InterfaceAddress, LinkFacts, VxlanSpec } from './link.ts'

interface Standing {
  readonly link: LinkFacts | undefined
  readonly addresses: readonly InterfaceAddress[]
  /** Of the device, where that is known. */
  readonly checksumOffload?: boolean | undefined
}

/** What a device would need to become as wanted, as `ip` commands; nothing for one that is. */
export const planLink = (spec: VxlanSpec, underlayName: string, standing: Standing): readonly string[] => {
  const { link } = standing
  const create = [
    addLink(spec, underlayName),
    ...(spec.family === 6 ? [enableIpv6(spec.name)] : []),
    ...(spec.checksumOffload === false ? [setChecksumOffload(spec, false)] : []), // a new one has it on
    ...spec.addresses.map((a) => addAddress(spec, a)),
    `ip link set ${spec.name} up`,
  ]
  if (!link) return create
  if (needsNew(spec, link)) return [`ip link del ${spec.name}`, ...create]
  const own = standing.addresses.filter((a) => a.link === link.index).map((a) => a.address)
  return [
    ...(link.mtuBytes === spec.mtuBytes ? [] : [`ip link set ${spec.name} mtu ${String(spec.mtuBytes)}`]),
    ...(link.mac === spec.mac ? [] : [`ip link set ${spec.name} address ${Mac.print(spec.mac)}`]),
    ...(spec.checksumOffload === undefined || spec.checksumOffload === standing.checksumOffload
      ? []
      : [setChecksumOffload(spec, spec.checksumOffload)]),
    ...spec.addresses.filter((a) => !own.some((b) => Cidr.equals(a, b))).map((a) => addAddress(spec, a)),
    ...own.filter((a) => foreign(a, spec)).map((a) => `ip addr del ${Cidr.print(a)} dev ${spec.name}`),
    ...(link.up ? [] : [`ip link set ${spec.name} up`]),
  ]
}

const addLink = (spec: VxlanSpec, underlayName: string): string =>
  [
    `ip link add ${spec.name} address ${Mac.print(spec.mac)} mtu ${String(spec.mtuBytes)} type vxlan id ${String(spec.vni)}`,
    `local ${Ip.print(spec.local)} dev ${underlayName} dstport ${String(spec.port)}`,
    ...(spec.learning ? [] : ['nolearning']),
    ...(spec.gbp ? ['gbp'] : []),
  ].join(' ')

/** With slashes, since the name has a dot. */
const enableIpv6 = (name: string): string =>
  `sysctl -qw net/ipv6/conf/${name}/disable_ipv6=0 net/ipv6/conf/${name}/accept_ra=0`

const setChecksumOffload = ({ name }: VxlanSpec, on: boolean): string =>
  `ethtool -K ${name} ${checksumFeature} ${on ? 'on' : 'off'}`

const addAddress = (spec: VxlanSpec, address: Cidr): string =>
  `ip addr add ${Cidr.print(address)} dev ${spec.name}`

/** As ethtool calls it (NETIF_F_HW_CSUM): checksums of any protocol, inside any other. */
export const checksumFeature = 'tx-checksum-ip-generic'

const foreign = (address: Cidr, spec: VxlanSpec): boolean =>
  spec.overlay.some((network) => Cidr.contains(network, address.address)) &&
  !spec.addresses.some((a) => Cidr.equals(a, address))

const needsNew = (spec: VxlanSpec, { vxlan }: LinkFacts): boolean =>
  vxlan?.vni !== spec.vni || vxlan.port !== spec.port || vxlan.gbp !== spec.gbp
