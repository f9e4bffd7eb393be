import type { Branded } from '../brand.ts'

/** VXLAN Network Identifier: 24 bits of the VXLAN header (RFC 7348 §5). Zero is legal on the wire, flannel and we refuse it. */
export type Vni = Branded<number, 'Vni'>

export const Vni = {
  of: (n: number): Vni | undefined =>
    Number.isInteger(n) && n > 0 && n <= 0xff_ffff ? (n as Vni) : undefined,
  /** Flannel's default. */
  flannel: 1 as Vni,
} as const

/** A UDP port number. */
export type Port = Branded<number, 'Port'>

export const Port = {
  of: (n: number): Port | undefined =>
    Number.isInteger(n) && n > 0 && n <= 0xffff ? (n as Port) : undefined,
  /** What the Linux kernel, and so flannel, uses; IANA's is 4789. */
  linuxVxlan: 8472 as Port,
} as const
