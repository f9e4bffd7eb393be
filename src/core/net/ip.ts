import { Ipv4 } from './ipv4.ts'
import { Ipv6 } from './ipv6.ts'

/** An address of either family; the JavaScript type tells which. */
export type Ip = Ipv4 | Ipv6
export type Family = 4 | 6
export const families: readonly Family[] = [4, 6]

export const Ip = {
  parse: (text: string): Ip | undefined => Ipv4.parse(text) ?? Ipv6.parse(text),
  print: (ip: Ip): string => (isIpv4(ip) ? Ipv4.print(ip) : Ipv6.print(ip)),
  family: (ip: Ip): Family => (isIpv4(ip) ? 4 : 6),
} as const

export const isIpv4 = (ip: Ip): ip is Ipv4 => typeof ip === 'number'
