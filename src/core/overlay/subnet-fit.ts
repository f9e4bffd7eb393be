import { Cidr } from '../net/cidr.ts'
import type { NetworkConfig, SubnetRange } from './network-config.ts'
import type { SubnetKey } from './record.ts'

/**
 * The rule that a host's subnet breaks; undefined if it is of the families and lengths that the configuration wants.
 * SubnetMin and SubnetMax bound new allocations only: a subnet that is held or reserved stays, and so do the
 * addresses of its containers.
 */
export const misfit = ({ subnet, subnet6 }: SubnetKey, { ipv4, ipv6 }: NetworkConfig): string | undefined =>
  misfitOf('IPv4', subnet, ipv4) ?? misfitOf('IPv6', subnet6, ipv6)

export const fits = (key: SubnetKey, config: NetworkConfig): boolean => misfit(key, config) === undefined

const misfitOf = <C extends Cidr>(
  family: string,
  subnet: C | undefined,
  range: SubnetRange<C> | undefined,
): string | undefined => {
  if (!range) return subnet && `the network has no ${family}`
  const network = Cidr.print(range.network)
  if (!subnet)
    return `a subnet of ${network} must stand with it, after a comma: the network has ${family} too`
  if (!Cidr.containsCidr(range.network, subnet)) return `${Cidr.print(subnet)} must be inside ${network}`
  if (subnet.length !== range.subnetLength)
    return `${Cidr.print(subnet)} must be a /${range.subnetLength}, like every host's subnet`
  return undefined
}
