import type { Branded } from '../brand.ts'

/** An IPv4 address as the number that its 32 bits make, so that it is a map key and masks are one operation. */
export type Ipv4 = Branded<number, 'Ipv4'>

export const Ipv4 = {
  /** From 32 bits, signed or not. */
  of: (bits: number): Ipv4 => (bits >>> 0) as Ipv4,

  /** Dotted quad only: no octal, no short forms (RFC 6943 §3.1.1). */
  parse: (text: string): Ipv4 | undefined => {
    const parts = text.split('.')
    if (parts.length !== 4) return undefined
    let bits = 0
    for (const part of parts) {
      if (!/^(0|[1-9]\d{0,2})$/.test(part) || Number(part) > 255) return undefined
      bits = bits * 256 + Number(part)
    }
    return bits as Ipv4
  },

  print: (ip: Ipv4): string =>
    `${String(ip >>> 24)}.${String((ip >>> 16) & 255)}.${String((ip >>> 8) & 255)}.${String(ip & 255)}`,

  /** The network mask of a prefix length, 0 to 32. */
  mask: (length: number): number => (length === 0 ? 0 : (-1 << (32 - length)) >>> 0),
} as const
