import { Ipv4 } from './ipv4.ts'
import { Ipv6 } from './ipv6.ts'
import { type Ip, isIpv4 } from './ip.ts'

export interface Cidr4 {
  readonly family: 4
  readonly address: Ipv4
  /** Prefix length, 0 to 32. */
  readonly length: number
}
export interface Cidr6 {
  readonly family: 6
  readonly address: Ipv6
  /** Prefix length, 0 to 128. */
  readonly length: number
}
/** A prefix, or an address with the prefix length of its link; {@link Cidr.network} masks the host bits off. */
export type Cidr = Cidr4 | Cidr6

export const Cidr = {
  of: (address: Ip, length: number): Cidr =>
    isIpv4(address) ? { family: 4, address, length } : { family: 6, address, length },

  v4: (address: Ipv4, length: number): Cidr4 => ({ family: 4, address, length }),

  /** `10.5.0.0/16`; host bits are kept. */
  parse: (text: string): Cidr | undefined => {
    const match = /^([^/]+)\/(0|[1-9]\d{0,2})$/.exec(text)
    if (!match) return undefined
    const length = Number(match[2])
    const v4 = Ipv4.parse(match[1] ?? '')
    if (v4 !== undefined) return length <= 32 ? { family: 4, address: v4, length } : undefined
    const v6 = Ipv6.parse(match[1] ?? '')
    return v6 !== undefined && length <= 128 ? { family: 6, address: v6, length } : undefined
  },

  print: (cidr: Cidr): string =>
    `${cidr.family === 4 ? Ipv4.print(cidr.address) : Ipv6.print(cidr.address)}/${String(cidr.length)}`,

  /** The same prefix with the host bits zero. */
  network: <C extends Cidr>(cidr: C): C => {
    const c: Cidr = cidr
    const masked: Cidr =
      c.family === 4
        ? { ...c, address: Ipv4.of(c.address & Ipv4.mask(c.length)) }
        : { ...c, address: Ipv6.masked(c.address, c.length) }
    return masked as C
  },

  isNetwork: (cidr: Cidr): boolean =>
    cidr.family === 4
      ? (cidr.address & ~Ipv4.mask(cidr.length)) === 0
      : Ipv6.masked(cidr.address, cidr.length) === cidr.address,

  contains: (cidr: Cidr, ip: Ip): boolean => {
    if (cidr.family === 4) {
      const mask = Ipv4.mask(cidr.length)
      return isIpv4(ip) && (ip & mask) === (cidr.address & mask)
    }
    const mask = Ipv6.mask(cidr.length)
    return !isIpv4(ip) && (ip & mask) === (cidr.address & mask)
  },

  containsCidr: (outer: Cidr, inner: Cidr): boolean =>
    inner.length >= outer.length && Cidr.contains(outer, inner.address),

  overlaps: (a: Cidr, b: Cidr): boolean =>
    a.length <= b.length ? Cidr.containsCidr(a, b) : Cidr.containsCidr(b, a),

  equals: (a: Cidr, b: Cidr): boolean => a.address === b.address && a.length === b.length,

  /** A value that is equal for equal prefixes: a number for IPv4 (38 bits), text for IPv6. */
  key: (cidr: Cidr): CidrKey => (cidr.family === 4 ? cidr.address * 64 + cidr.length : Cidr.print(cidr)),
} as const

export type CidrKey = number | string
