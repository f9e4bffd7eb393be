import type { Branded } from '../brand.ts'

/** An IPv4 address as the number that its 32 bits make, so that it is a map key and masks are one operation. */
export type Ipv4 = Branded<number, 'Ipv4'>

export const Ipv4 = {
  /** From 32 bits, signed or not. */
  of: (bits: number): Ipv4 => (bits >>> 0) as Ipv4,

  /** Dotted quad only: no octal, no short forms (RFC 6943 §3.1.1). */
  parse: (text: string): Ipv4 | undefined => {
    // Digit by digit: ten thousand records are read at start, each with several addresses.
    let bits = 0
    let dots = 0
    let octet = -1 // before its first digit
    for (let i = 0; i < text.length; i++) {
      const digit = text.charCodeAt(i) - 48 // '0'
      if (digit === -2) {
        if (octet < 0 || ++dots > 3) return undefined
        bits = bits * 256 + octet
        octet = -1
      } else {
        if (digit < 0 || digit > 9 || octet === 0) return undefined // nothing may follow a leading zero
        octet = octet < 0 ? digit : octet * 10 + digit
        if (octet > 255) return undefined
      }
    }
    return dots === 3 && octet >= 0 ? ((bits * 256 + octet) as Ipv4) : undefined
  },

  print: (ip: Ipv4): string =>
    `${String(ip >>> 24)}.${String((ip >>> 16) & 255)}.${String((ip >>> 8) & 255)}.${String(ip & 255)}`,

  /** The network mask of a prefix length, 0 to 32. */
  mask: (length: number): number => (length === 0 ? 0 : (-1 << (32 - length)) >>> 0),
} as const
