import { Cidr, type Cidr4, type Cidr6 } from '../net/cidr.ts'
import { Ipv4 } from '../net/ipv4.ts'
import { Ipv6 } from '../net/ipv6.ts'
import type { NetworkConfig } from './network-config.ts'
import type { SubnetKey } from './record.ts'

/**
 * flannel's `subnet.env`, in its order and without quotes: the CNI plugin and `mk-docker-opts` read it.
 * The subnet is written as its first usable address, which the container bridge takes.
 */
export const printSubnetEnv = (
  { ipv4, ipv6 }: NetworkConfig,
  { subnet, subnet6 }: SubnetKey,
  { mtuBytes, masquerade }: { readonly mtuBytes: number; readonly masquerade: boolean },
): string =>
  [
    ...(ipv4 && subnet
      ? [`FLANNEL_NETWORK=${Cidr.print(ipv4.network)}`, `FLANNEL_SUBNET=${Cidr.print(firstAddress(subnet))}`]
      : []),
    ...(ipv6 && subnet6
      ? [
          `FLANNEL_IPV6_NETWORK=${Cidr.print(ipv6.network)}`,
          `FLANNEL_IPV6_SUBNET=${Cidr.print(firstAddress(subnet6))}`,
        ]
      : []),
    `FLANNEL_MTU=${String(mtuBytes)}`,
    `FLANNEL_IPMASQ=${String(masquerade)}`, // true: the CNI plugin and docker leave it to us
    '',
  ].join('\n')

const firstAddress = (subnet: Cidr4 | Cidr6): Cidr =>
  subnet.family === 4
    ? { ...subnet, address: Ipv4.of(subnet.address + 1) }
    : { ...subnet, address: Ipv6.of(subnet.address + 1n) }

/** The subnets that an earlier run, of flannel too, has written. */
export const previousSubnets = (subnetEnv: string): SubnetKey | undefined => {
  const subnet = networkIn(subnetEnv, 'FLANNEL_SUBNET')
  const subnet6 = networkIn(subnetEnv, 'FLANNEL_IPV6_SUBNET')
  if (!subnet && !subnet6) return undefined
  return {
    subnet: subnet?.family === 4 ? subnet : undefined,
    subnet6: subnet6?.family === 6 ? subnet6 : undefined,
  }
}

const networkIn = (subnetEnv: string, name: string): Cidr | undefined => {
  const match = new RegExp(String.raw`^${name}=(\S+)$`, 'm').exec(subnetEnv)
  const cidr = match?.[1] === undefined ? undefined : Cidr.parse(match[1])
  return cidr && Cidr.network(cidr)
}
