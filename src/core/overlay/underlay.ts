import { Cidr } from '../net/cidr.ts'
import { type Family, Ip, isIpv4 } from '../net/ip.ts'
import type { Ipv4 } from '../net/ipv4.ts'
import type { Ipv6 } from '../net/ipv6.ts'
import type { InterfaceAddress, LinkFacts } from '../kernel/link.ts'

/** The interface and the addresses that carry the tunnels, one of each family that it has. */
export interface Underlay {
  readonly link: number
  readonly name: string
  readonly address: Ipv4 | undefined
  readonly address6: Ipv6 | undefined
  readonly mtuBytes: number
}

/** How the user names the interface; the first that matches wins, in this order. */
export interface UnderlayChoice {
  /** Of which it must have an address: IPv4, unless the network has none. */
  readonly family: Family
  /** Names or addresses, as flannel's `--iface`. */
  readonly names: readonly string[]
  /** Matched against names, then addresses, as flannel's `--iface-regex`. */
  readonly patterns: readonly RegExp[]
  /** Link that a route look-up of `--iface-can-reach` gave. */
  readonly reach: { readonly link: number; readonly source: Ip | undefined } | undefined
}

export interface InterfaceTable {
  readonly links: readonly LinkFacts[]
  readonly addresses: readonly InterfaceAddress[]
  readonly defaultLink: number | undefined
  readonly defaultLink6: number | undefined
}

/** The chosen interface, or a sentence that says what was looked for and what there is. */
export const chooseUnderlay = (table: InterfaceTable, choice: UnderlayChoice): Underlay | string => {
  const { family } = choice
  const wanted = [
    ...choice.names.map((n) => `--iface ${n}`),
    ...choice.patterns.map((p) => `--iface-regex ${p.source}`),
  ]
  for (const name of choice.names) {
    const found = byName(table, name, family)
    if (found) return found
  }
  for (const pattern of choice.patterns) {
    const found = byPattern(table, pattern, family)
    if (found) return found
  }
  if (choice.reach) {
    const { link, source } = choice.reach
    return (
      ofLink(table, link, { family, preferred: source }) ??
      `the interface that reaches --iface-can-reach has no usable IPv${family} address`
    )
  }
  if (wanted.length > 0) return `no interface matches ${wanted.join(', ')}; there are ${listed(table)}`
  const defaultLink = family === 4 ? table.defaultLink : table.defaultLink6
  if (defaultLink === undefined)
    return `there is no IPv${family} default route to tell the interface; name it with --iface; there are ${listed(table)}`
  return (
    ofLink(table, defaultLink, { family }) ??
    `the interface of the default route has no usable IPv${family} address; name one with --iface`
  )
}

function byName(table: InterfaceTable, name: string, family: Family): Underlay | undefined {
  const link = table.links.find((l) => l.name === name)
  if (link) return ofLink(table, link.index, { family })
  const preferred = Ip.parse(name)
  const owner =
    preferred === undefined ? undefined : table.addresses.find((a) => a.address.address === preferred)
  return owner && ofLink(table, owner.link, { family, preferred })
}

function byPattern(table: InterfaceTable, pattern: RegExp, family: Family): Underlay | undefined {
  for (const link of table.links) if (pattern.test(link.name)) return ofLink(table, link.index, { family })
  const hit = table.addresses.find((a) => pattern.test(Ip.print(a.address.address)))
  return hit && ofLink(table, hit.link, { family, preferred: hit.address.address })
}

/** Of the link, with the address of each family that serves best; nothing without one of the `family`. */
function ofLink(
  table: InterfaceTable,
  index: number,
  { family, preferred }: { readonly family: Family; readonly preferred?: Ip | undefined },
): Underlay | undefined {
  const link = table.links.find((l) => l.index === index)
  const own = table.addresses.filter((a) => a.link === index)
  const address = best4(own, preferred)
  const address6 = best6(own, preferred)
  if (!link || (family === 4 ? address : address6) === undefined) return undefined
  return { link: index, name: link.name, address, address6, mtuBytes: link.mtuBytes }
}

/** Primary global addresses come first, as the kernel's own source address selection has it. */
function best4(own: readonly InterfaceAddress[], preferred: Ip | undefined): Ipv4 | undefined {
  const all = own.filter((a) => a.address.family === 4)
  const best =
    all.find((a) => a.address.address === preferred) ??
    all.find((a) => a.scope === 0 && !a.secondary) ??
    all.find((a) => !a.secondary)
  const address = best?.address.address
  return address !== undefined && isIpv4(address) ? address : undefined
}

/** A link-local address is none without its interface, and a temporary one is another tomorrow (RFC 8981). */
function best6(own: readonly InterfaceAddress[], preferred: Ip | undefined): Ipv6 | undefined {
  const all = own.filter((a) => a.address.family === 6 && a.scope === 0 && !a.unusable)
  const best = all.find((a) => a.address.address === preferred) ?? all.find((a) => !a.secondary) ?? all.at(0)
  const address = best?.address.address
  return address !== undefined && !isIpv4(address) ? address : undefined
}

const listed = (table: InterfaceTable): string =>
  table.links
    .filter((l) => !l.loopback)
    .map((l) => {
      const addresses = table.addresses.filter((a) => a.link === l.index).map((a) => Cidr.print(a.address))
      return addresses.length === 0 ? l.name : `${l.name} (${addresses.join(', ')})`
    })
    .join(', ') || 'none but the loopback'

/** Why nothing goes through a chosen interface now, in spite of its address. */
export const whyIdle = ({ name, up, running }: LinkFacts): string | undefined => {
  if (!up) return `the underlay interface ${name} is down`
  return running ? undefined : `the underlay interface ${name} has no carrier`
}
