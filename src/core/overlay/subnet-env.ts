import { Cidr, type Cidr4 } from '../net/cidr.ts'
import { Ipv4 } from '../net/ipv4.ts'
import type { NetworkConfig } from './network-config.ts'

/**
 * flannel's `subnet.env`, in its order and without quotes: the CNI plugin and `mk-docker-opts` read it.
 * The subnet is written as its first usable address, which the container bridge takes.
 */
export const printSubnetEnv = (config: NetworkConfig, subnet: Cidr4, mtuBytes: number): string =>
  [
    ...(config.ipv4 ? [`FLANNEL_NETWORK=${Cidr.print(config.ipv4.network)}`] : []),
    `FLANNEL_SUBNET=${Cidr.print(Cidr.v4(Ipv4.of(subnet.address + 1), subnet.length))}`,
    `FLANNEL_MTU=${String(mtuBytes)}`,
    'FLANNEL_IPMASQ=false',
    '',
  ].join('\n')

/** The subnet that an earlier run, of flannel too, has written. */
export const previousSubnet = (subnetEnv: string): Cidr4 | undefined => {
  const match = /^FLANNEL_SUBNET=(\S+)$/m.exec(subnetEnv)
  const cidr = match?.[1] === undefined ? undefined : Cidr.parse(match[1])
  return cidr?.family === 4 ? Cidr.network(cidr) : undefined
}
