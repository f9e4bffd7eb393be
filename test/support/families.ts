import type { Container } from './container.ts'
import { defaultConfig, type LabOptions } from './lab.ts'
import { dualConfig, ipv6Config } from './overlay.ts'

/** One family of addresses, in its own words: what a test says of both is said once. */
export interface Family {
  readonly name: 'IPv4' | 'IPv6'
  /** For `ip`. */
  readonly option: '-4' | '-6'
  /** Device of the overlay that carries it. */
  readonly device: string
  readonly addressBits: number
  /** Address on the underlay: of its router 1, of the first host 11, of the second 12. */
  readonly underlay: (number: number) => string
  readonly addressOf: (container: Container) => string
}

export const ipv4: Family = {
  name: 'IPv4',
  option: '-4',
  device: 'tweed.1',
  addressBits: 32,
  underlay: (number) => `192.0.2.${String(number)}`,
  addressOf: ({ address }) => address,
}
export const ipv6: Family = {
  name: 'IPv6',
  option: '-6',
  device: 'tweed-v6.1',
  addressBits: 128,
  underlay: (number) => `2001:db8::${String(number)}`,
  addressOf: ({ address6 }) => address6,
}

export interface Overlay {
  /** For titles. */
  readonly name: string
  readonly families: readonly Family[]
  /** For the laboratory, as is its configuration. */
  readonly ipv6: NonNullable<LabOptions['ipv6']>
  readonly config: object
}

export const ipv4Only: Overlay = { name: 'IPv4', families: [ipv4], ipv6: false, config: defaultConfig }
export const dualStack: Overlay = {
  name: 'dual stack',
  families: [ipv4, ipv6],
  ipv6: true,
  config: dualConfig,
}
export const ipv6Only: Overlay = { name: 'IPv6', families: [ipv6], ipv6: 'only', config: ipv6Config }

/** Every choice of families that a network has. */
export const overlays: readonly Overlay[] = [ipv4Only, dualStack, ipv6Only]
