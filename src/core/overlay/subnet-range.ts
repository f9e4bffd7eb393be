import { Cidr, type Cidr4, type Cidr6 } from '../net/cidr.ts'
import { Ip } from '../net/ip.ts'
import { Ipv4 } from '../net/ipv4.ts'
import { Ipv6 } from '../net/ipv6.ts'
import { Subnets } from '../net/subnets.ts'
import { invalid, type Parsed, valid } from '../parsed.ts'
import type { FieldReader } from './fields.ts'
import type { SubnetRange } from './network-config.ts'

/** What differs between the families in flannel's configuration. */
interface FamilyRules<C extends Cidr> {
  readonly prefix: '' | 'IPv6'
  readonly name: string
  readonly example: string
  /** Each host's length where the network has room for four of them. */
  readonly usualLength: number
  readonly maxLength: number
  /** Networks that overlap these can't be routed to hosts. */
  readonly special: readonly string[]
  readonly parse: (text: string) => C | undefined
  readonly parseAddress: (text: string) => Ip | undefined
  readonly withAddress: (like: C, address: Ip) => C
}

const rules4: FamilyRules<Cidr4> = {
  prefix: '',
  name: 'IPv4',
  example: '10.5.0.0/16',
  usualLength: 24,
  maxLength: 30, // room for the device and a bridge
  special: ['0.0.0.0/8', '127.0.0.0/8', '224.0.0.0/3'], // RFC 6890
  parse: (text) => only(Cidr.parse(text), 4),
  parseAddress: Ipv4.parse,
  withAddress: (like, address) => only(Cidr.of(address, like.length), 4) ?? like,
}
const rules6: FamilyRules<Cidr6> = {
  prefix: 'IPv6',
  name: 'IPv6',
  example: 'fc00::/48',
  usualLength: 64,
  maxLength: 126,
  special: ['::/8', 'fe80::/10', 'ff00::/8'], // RFC 4291 §2.4
  parse: (text) => only(Cidr.parse(text), 6),
  parseAddress: Ipv6.parse,
  withAddress: (like, address) => only(Cidr.of(address, like.length), 6) ?? like,
}

/** The prefixes of one family: `Network`, `SubnetLen`, `SubnetMin`, `SubnetMax`, or the same with `IPv6` in front. */
export function parseRange(family: 4, fields: FieldReader): Parsed<SubnetRange<Cidr4>>
export function parseRange(family: 6, fields: FieldReader): Parsed<SubnetRange<Cidr6>>
export function parseRange(family: 4 | 6, fields: FieldReader): Parsed<SubnetRange<Cidr>> {
  return family === 4 ? parse(rules4, fields) : parse(rules6, fields)
}

export const printRange = (family: 4 | 6, range: SubnetRange<Cidr>): Record<string, unknown> => {
  const { prefix } = family === 4 ? rules4 : rules6
  return {
    [`${prefix}Network`]: Cidr.print(range.network),
    [`${prefix}SubnetLen`]: range.subnetLength,
    [`${prefix}SubnetMin`]: Ip.print(range.subnetMin.address),
    [`${prefix}SubnetMax`]: Ip.print(range.subnetMax.address),
  }
}

const parse = <C extends Cidr>(rules: FamilyRules<C>, fields: FieldReader): Parsed<SubnetRange<C>> => {
  const network = parseNetwork(rules, fields)
  if (network.kind === 'invalid') return network
  const length = parseLength(rules, fields, network.value)
  if (length.kind === 'invalid') return length
  const all = Subnets.inside(network.value, length.value)
  const bound = (name: string, byDefault: C): Parsed<C> =>
    parseBound(rules, fields, { name, byDefault, network: network.value })
  // The first subnet is left out: its first address is also the network's, and old hosts broadcast there.
  const min = bound('SubnetMin', all.at(1) ?? all.first)
  if (min.kind === 'invalid') return min
  const max = bound('SubnetMax', all.last)
  if (max.kind === 'invalid') return max
  if (min.value.address > max.value.address)
    return invalid(
      `${rules.prefix}SubnetMin`,
      Ip.print(min.value.address),
      `must not be above ${rules.prefix}SubnetMax ${Ip.print(max.value.address)}`,
    )
  return valid({
    network: network.value,
    subnetLength: length.value,
    subnetMin: min.value,
    subnetMax: max.value,
  })
}

const parseNetwork = <C extends Cidr>(rules: FamilyRules<C>, fields: FieldReader): Parsed<C> => {
  const name = `${rules.prefix}Network`
  const text = fields.text(name)
  if (fields.complaint) return fields.complaint
  if (text === undefined) return invalid(name, undefined, `must be a prefix like "${rules.example}"`)
  const cidr = rules.parse(text)
  if (!cidr) return invalid(name, text, `must be an ${rules.name} prefix like "${rules.example}"`)
  const network = Cidr.network(cidr)
  const special = rules.special.find((prefix) => {
    const reserved = Cidr.parse(prefix)
    return reserved && Cidr.overlaps(reserved, network)
  })
  if (special !== undefined) return invalid(name, text, `must not overlap ${special}, which no host may have`)
  return valid(network)
}

const parseLength = <C extends Cidr>(
  rules: FamilyRules<C>,
  fields: FieldReader,
  network: C,
): Parsed<number> => {
  const least = network.length + 2 // four subnets, of which the first stays unused
  if (least > rules.maxLength)
    return invalid(
      `${rules.prefix}Network`,
      Cidr.print(network),
      `must be a /${rules.maxLength - 2} or larger, so that four subnets fit in`,
    )
  const length = fields.whole(`${rules.prefix}SubnetLen`, {
    from: least,
    to: rules.maxLength,
    zeroIsAbsent: true,
  })
  if (fields.complaint) return fields.complaint
  return valid(length ?? Math.max(rules.usualLength, least))
}

const parseBound = <C extends Cidr>(
  rules: FamilyRules<C>,
  fields: FieldReader,
  { name: shortName, byDefault, network }: { name: string; byDefault: C; network: C },
): Parsed<C> => {
  const name = `${rules.prefix}${shortName}`
  const text = fields.text(name)
  if (fields.complaint) return fields.complaint
  if (text === undefined) return valid(byDefault)
  const address = rules.parseAddress(text)
  if (address === undefined) return invalid(name, text, `must be an ${rules.name} address`)
  if (Number(address) === 0) return valid(byDefault) // 0.0.0.0 is Go's absent address
  if (!Cidr.contains(network, address))
    return invalid(name, text, `must be inside ${rules.prefix}Network ${Cidr.print(network)}`)
  const subnet = rules.withAddress(byDefault, address)
  const aligned = Cidr.network(subnet)
  if (aligned.address !== address)
    return invalid(
      name,
      text,
      `must be the first address of a /${subnet.length}, such as ${Ip.print(aligned.address)}`,
    )
  return valid(subnet)
}

function only(cidr: Cidr | undefined, family: 4): Cidr4 | undefined
function only(cidr: Cidr | undefined, family: 6): Cidr6 | undefined
function only(cidr: Cidr | undefined, family: 4 | 6): Cidr | undefined {
  return cidr?.family === family ? cidr : undefined
}
