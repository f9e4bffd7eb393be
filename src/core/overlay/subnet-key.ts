import { Cidr, type Cidr4, type Cidr6 } from '../net/cidr.ts'
import { Ipv4 } from '../net/ipv4.ts'
import { Ipv6 } from '../net/ipv6.ts'
import type { SubnetKey } from './record.ts'

// Flannel's own pattern is not anchored at the start and takes any character for two of the dots; we want the
// key exactly as flannel and we write it, so that two spellings never stand for one subnet.
const dashed4 = String.raw`([\d.]{7,15})-(0|[1-9]\d?)`
const dashed6 = String.raw`([\da-f:]{2,39})-(\d{1,3})`
const pattern = new RegExp(`^(?:${dashed4}(?:&${dashed6})?|${dashed6})$`)

/**
 * `10.5.52.0-24`, `10.5.52.0-24&fc00:0:0:1::-64` or, which is ours alone, `fc00:0:0:1::-64`: canonical and without
 * host bits; all else is undefined.
 */
export const parseSubnetKey = (text: string): SubnetKey | undefined => {
  const match = pattern.exec(text)
  if (!match) return undefined
  const [, address4, length4, address, length, address6 = address, length6 = length] = match
  const subnet = address4 === undefined ? undefined : parse4(address4, Number(length4))
  const subnet6 = address6 === undefined ? undefined : parse6(address6, Number(length6))
  if ((address4 !== undefined && !subnet) || (address6 !== undefined && !subnet6)) return undefined
  const key = { subnet, subnet6 }
  // What IPv4's parser takes has one spelling only; IPv6 has many.
  return !subnet6 || printSubnetKey(key) === text ? key : undefined
}

export const printSubnetKey = ({ subnet, subnet6 }: SubnetKey): string =>
  [subnet, subnet6].flatMap((cidr) => (cidr ? [dashed(cidr)] : [])).join('&')

/** For people: `10.5.52.0/24` or `10.5.52.0/24,fc00:0:0:1::/64`. */
export const printSubnets = ({ subnet, subnet6 }: SubnetKey): string =>
  [subnet, subnet6].flatMap((cidr) => (cidr ? [Cidr.print(cidr)] : [])).join(',')

/** As people write it, what {@link printSubnets} prints; host bits are refused. */
export const parseSubnets = (text: string): SubnetKey | undefined => {
  const cidrs = text.split(',').map((part) => Cidr.parse(part.trim()))
  return cidrs.every((cidr) => cidr !== undefined) ? parseSubnetKey(cidrs.map(dashed).join('&')) : undefined
}

const dashed = (cidr: Cidr): string => Cidr.print(cidr).replace('/', '-')

// Flannel reads the lengths as 5 and 7 bits: 32 and 128 make the key illegal for it.
const parse4 = (text: string, length: number): Cidr4 | undefined => {
  const address = Ipv4.parse(text)
  return address === undefined || length > 31 ? undefined : network({ family: 4, address, length })
}
const parse6 = (text: string, length: number): Cidr6 | undefined => {
  const address = Ipv6.parse(text)
  return address === undefined || length > 127 ? undefined : network({ family: 6, address, length })
}
const network = <C extends Cidr>(cidr: C): C | undefined => (Cidr.isNetwork(cidr) ? cidr : undefined)
