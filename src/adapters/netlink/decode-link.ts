import type { InterfaceAddress, LinkFacts, VxlanFacts } from '../../core/kernel/link.ts'
import { Cidr } from '../../core/net/cidr.ts'
import type { Ip } from '../../core/net/ip.ts'
import { AF_INET6, HEADER_BYTES, eachAttribute, readIp, readMac, readString, s32, u32 } from './wire.ts'

/** if_link.h */
export const IFLA = { address: 1, ifname: 3, mtu: 4, linkinfo: 18, ifalias: 20, afSpec: 26 } as const
export const IFLA_INFO = { kind: 1, data: 2 } as const
export const IFLA_INET6_ADDR_GEN_MODE = 8
const VXLAN = {
  id: 1, group: 2, link: 3, local: 4, learning: 7, proxy: 11, rsc: 12, l2miss: 13, l3miss: 14, port: 15,
  group6: 16, local6: 17, gbp: 23, external: 25, gpe: 27,
} as const // prettier-ignore
const IFF = { up: 1, loopback: 8, running: 0x40 } as const
const IFA = { address: 1, local: 2, flags: 8 } as const
const IFA_F = { secondary: 1, optimistic: 4, dadFailed: 8, deprecated: 0x20, tentative: 0x40 } as const

/** What the adapter needs to know of a device beyond what its port reports. */
export interface LinkDetail extends LinkFacts {
  /** IN6_ADDR_GEN_MODE_*: 1 is "no link-local address"; undefined where the device has no IPv6. */
  readonly addrGenMode: number | undefined
  readonly vxlan: VxlanDetail | undefined
}

export interface VxlanDetail extends VxlanFacts {
  /** Default remote or multicast group: an all-zero FDB entry. */
  readonly group: Ip | undefined
  /** One of the flags that we never set and that cannot be cleared live: proxy, rsc, l2miss, l3miss, external, gpe. */
  readonly extras: boolean
}

/** Decodes RTM_NEWLINK and RTM_DELLINK; nothing for a bridge port's message (family AF_BRIDGE). */
export function readLink(b: Buffer, start: number, end: number): LinkDetail | undefined {
  const at = start + HEADER_BYTES
  if (b[at] !== 0) return undefined // a port leaving its bridge is an RTM_DELLINK too
  const flags = u32(b, at + 8)
  const link = {
    index: s32(b, at + 4),
    name: '',
    kind: '',
    mac: undefined as LinkDetail['mac'],
    mtuBytes: 0,
    up: (flags & IFF.up) !== 0,
    running: (flags & IFF.running) !== 0,
    loopback: (flags & IFF.loopback) !== 0,
    alias: '',
    vxlan: undefined as LinkDetail['vxlan'],
    addrGenMode: undefined as number | undefined,
  }
  eachAttribute(b, at + 16, end, (type, from, length) => {
    if (type === IFLA.ifname) link.name = readString(b, from, length)
    else if (type === IFLA.address) link.mac = readMac(b, from, length)
    else if (type === IFLA.mtu) link.mtuBytes = u32(b, from)
    else if (type === IFLA.ifalias) link.alias = readString(b, from, length)
    else if (type === IFLA.linkinfo) Object.assign(link, readLinkInfo(b, from, from + length))
    else if (type === IFLA.afSpec) link.addrGenMode = readAddrGenMode(b, from, from + length)
  })
  return link
}

function readLinkInfo(b: Buffer, at: number, end: number): Pick<LinkDetail, 'kind' | 'vxlan'> {
  let kind = ''
  let vxlan: VxlanDetail | undefined
  eachAttribute(b, at, end, (type, from, length) => {
    if (type === IFLA_INFO.kind) kind = readString(b, from, length)
    else if (type === IFLA_INFO.data && kind === 'vxlan') vxlan = readVxlan(b, from, from + length)
  })
  return { kind, vxlan }
}

const extraFlags: ReadonlySet<number> = new Set([
  VXLAN.proxy,
  VXLAN.rsc,
  VXLAN.l2miss,
  VXLAN.l3miss,
  VXLAN.external,
])

function readVxlan(b: Buffer, at: number, end: number): VxlanDetail {
  const vxlan = {
    vni: 0,
    port: 0,
    underlay: 0,
    local: undefined as Ip | undefined,
    group: undefined as Ip | undefined,
    learning: false,
    gbp: false,
    extras: false,
  }
  eachAttribute(b, at, end, (type, from, length) => {
    if (type === VXLAN.id) vxlan.vni = u32(b, from)
    else if (type === VXLAN.port) vxlan.port = b.readUInt16BE(from)
    else if (type === VXLAN.link) vxlan.underlay = u32(b, from)
    else if (type === VXLAN.local || type === VXLAN.local6) vxlan.local = readIp(b, from, length)
    else if (type === VXLAN.group || type === VXLAN.group6) vxlan.group = readIp(b, from, length)
    else if (type === VXLAN.learning) vxlan.learning = b[from] === 1
    else if (type === VXLAN.gbp)
      vxlan.gbp = true // a flag attribute: there or not
    else if (type === VXLAN.gpe) vxlan.extras = true
    else if (extraFlags.has(type) && b[from] !== 0) vxlan.extras = true
  })
  return vxlan
}

function readAddrGenMode(b: Buffer, at: number, end: number): number | undefined {
  let mode: number | undefined
  eachAttribute(b, at, end, (family, from, length) => {
    if (family !== AF_INET6) return
    eachAttribute(b, from, from + length, (type, value) => {
      if (type === IFLA_INET6_ADDR_GEN_MODE) mode = b[value]
    })
  })
  return mode
}

/** Decodes RTM_NEWADDR and RTM_DELADDR of either family. */
export function readAddress(b: Buffer, start: number, end: number): InterfaceAddress | undefined {
  const at = start + HEADER_BYTES
  let address: Ip | undefined
  let local: Ip | undefined
  let flags = b[at + 2] ?? 0
  eachAttribute(b, at + 8, end, (type, from, length) => {
    if (type === IFA.address) address = readIp(b, from, length)
    else if (type === IFA.local)
      local = readIp(b, from, length) // IFA_ADDRESS is then the peer
    else if (type === IFA.flags) flags = u32(b, from)
  })
  const own = local ?? address
  if (own === undefined) return undefined
  return {
    link: u32(b, at + 4),
    address: Cidr.of(own, b[at + 1] ?? 0),
    scope: b[at + 3] ?? 0,
    secondary: (flags & IFA_F.secondary) !== 0, // if_addr.h: for IPv6 the same bit is "temporary"
    unusable: isUnusable(flags),
  }
}

const isUnusable = (flags: number): boolean =>
  (flags & (IFA_F.deprecated | IFA_F.dadFailed)) !== 0 ||
  (flags & (IFA_F.tentative | IFA_F.optimistic)) === IFA_F.tentative
