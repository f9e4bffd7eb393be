import type { Fault } from '../fault.ts'
import type { Family, Ip } from '../net/ip.ts'
import type { Mac } from '../net/mac.ts'
import type { Port, Vni } from '../net/vni.ts'
import type { Cidr } from '../net/cidr.ts'

/** The VXLAN device that we want. */
export interface VxlanSpec {
  /** Of the overlay that it carries, and of the underlay below. */
  readonly family: Family
  readonly name: string
  readonly vni: Vni
  readonly port: Port
  /** Underlay interface index. */
  readonly underlay: number
  /** Underlay address; `local` of the device. */
  readonly local: Ip
  readonly mac: Mac
  readonly mtuBytes: number
  readonly learning: boolean
  readonly gbp: boolean
  /** Whether it leaves the checksums of what it carries to the network card; undefined: as it stands. */
  readonly checksumOffload?: boolean | undefined
  /** The only addresses of its family that the device shall have inside {@link overlay}: `10.5.7.0/32`. */
  readonly addresses: readonly Cidr[]
  /** The overlay's prefixes; addresses outside them are none of our business. */
  readonly overlay: readonly Cidr[]
}

/** A device as the kernel reports it. */
export interface LinkFacts {
  readonly index: number
  readonly name: string
  /** `vxlan`, `bridge`, `veth`, … or `''`. */
  readonly kind: string
  readonly mac: Mac | undefined
  readonly mtuBytes: number
  readonly up: boolean
  readonly running: boolean
  readonly loopback: boolean
  readonly alias: string
  readonly vxlan: VxlanFacts | undefined
}

export interface VxlanFacts {
  readonly vni: number
  readonly port: number
  readonly underlay: number
  readonly local: Ip | undefined
  readonly learning: boolean
  readonly gbp: boolean
}

/** What {@link file://../../ports/kernel.ts} had to do so that the device is as wanted. */
export interface EnsuredLink {
  readonly index: number
  readonly mac: Mac
  readonly did: 'nothing' | 'changed' | 'created' | 'recreated'
  /** What it lacks, although it forwards. */
  readonly fault?: Fault | undefined
}

export interface InterfaceAddress {
  readonly link: number
  readonly address: Cidr
  /** 0 global, 253 link, 254 host (rtnetlink(7)). */
  readonly scope: number
  /** A further address of a prefix; in IPv6 a temporary one (RFC 8981), which changes every day. */
  readonly secondary: boolean
  /** Not to be used yet, or any more: tentative, duplicate or deprecated (RFC 4862). */
  readonly unusable?: boolean
}
