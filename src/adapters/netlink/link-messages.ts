import type { AttrStream as Attributes, ifla as Link } from 'netlink'
import type { VxlanSpec } from '../../core/kernel/link.ts'
import { Cidr } from '../../core/net/cidr.ts'
import { type Ip, isIpv4 } from '../../core/net/ip.ts'
import type { Mac } from '../../core/net/mac.ts'
import { IFLA, IFLA_INET6_ADDR_GEN_MODE, IFLA_INFO } from './decode-link.ts'
import { AttrStream, ifla, putString, putU32 } from './package.ts'
import { AF_INET, AF_INET6 } from './wire.ts'

/** `ip link … alias tweed`: how a device says that it is ours, whatever its name. */
export const OWNER_ALIAS = 'tweed'
const IFF_UP = 1
const IN6_ADDR_GEN_MODE_NONE = 1
const IFA = { address: 1, local: 2 } as const
const IFA_F_NODAD = 2

const ipBytes = (ip: Ip): Buffer => {
  if (!isIpv4(ip)) return Buffer.from(ip.toString(16).padStart(32, '0'), 'hex')
  const bytes = Buffer.alloc(4)
  bytes.writeUInt32BE(ip)
  return bytes
}
const macBytes = (mac: Mac): Buffer => {
  const bytes = Buffer.alloc(6)
  bytes.writeUIntBE(mac, 0, 6)
  return bytes
}
const portBytes = (port: number): Buffer => {
  const bytes = Buffer.alloc(2)
  bytes.writeUInt16BE(port)
  return bytes
}

const ifinfomsg = (index: number, flags = 0, change = 0): Buffer => {
  const bytes = Buffer.alloc(16)
  bytes.writeInt32LE(index, 4)
  bytes.writeUInt32LE(flags, 8)
  bytes.writeUInt32LE(change, 12)
  return bytes
}

const withAttributes = (body: Buffer, attributes: Attributes): Buffer =>
  Buffer.concat([body, ...attributes.bufs])

const vxlanInfo = (vxlan: Link.Vxlan): Buffer => {
  const info = new AttrStream()
  info.push(IFLA_INFO.kind, putString('vxlan'))
  info.push(IFLA_INFO.data, ifla.formatVxlan(vxlan))
  return Buffer.concat(info.bufs)
}

const localOf = (ip: Ip): Link.Vxlan => (isIpv4(ip) ? { local: ipBytes(ip) } : { local6: ipBytes(ip) })

/** RTM_NEWLINK with NLM_F_CREATE | NLM_F_EXCL. Alias and address mode come in a second message: rtnetlink.c ignores them here. */
export function createVxlan(spec: VxlanSpec): Buffer {
  const out = new AttrStream()
  out.push(IFLA.ifname, putString(spec.name))
  out.push(IFLA.address, macBytes(spec.mac))
  out.push(IFLA.mtu, putU32(spec.mtuBytes))
  const vxlan: Link.Vxlan = {
    id: spec.vni,
    link: spec.underlay,
    ...localOf(spec.local),
    port: portBytes(spec.port),
    learning: Number(spec.learning),
  }
  if (spec.gbp) vxlan.gbp = true
  out.push(IFLA.linkinfo, vxlanInfo(vxlan))
  return withAttributes(ifinfomsg(0), out)
}

/** What can be changed on a device in one RTM_SETLINK. */
export interface LinkChange {
  readonly up?: boolean
  readonly mac?: Mac
  readonly mtuBytes?: number
  readonly alias?: string
  /** Take the automatic link-local address, and with it the device's own chatter, away. */
  readonly noLinkLocal?: boolean
}

export function changeLink(index: number, change: LinkChange): Buffer {
  const out = new AttrStream()
  if (change.mac !== undefined) out.push(IFLA.address, macBytes(change.mac))
  if (change.mtuBytes !== undefined) out.push(IFLA.mtu, putU32(change.mtuBytes))
  if (change.alias !== undefined) out.push(IFLA.ifalias, Buffer.from(change.alias))
  if (change.noLinkLocal)
    out.push(IFLA.afSpec, (spec) => {
      const inet6 = new AttrStream()
      inet6.push(IFLA_INET6_ADDR_GEN_MODE, Buffer.from([IN6_ADDR_GEN_MODE_NONE]))
      spec.push(AF_INET6, Buffer.concat(inet6.bufs))
    })
  const flags = change.up === undefined ? [0, 0] : [change.up ? IFF_UP : 0, IFF_UP]
  return withAttributes(ifinfomsg(index, ...flags), out)
}

/** RTM_NEWLINK on an existing device: vxlan_changelink takes these three (and refuses VNI, port and the flags). */
export function changeVxlan(index: number, spec: Pick<VxlanSpec, 'underlay' | 'local' | 'learning'>): Buffer {
  const out = new AttrStream()
  const vxlan: Link.Vxlan = {
    link: spec.underlay,
    ...localOf(spec.local),
    learning: Number(spec.learning),
    // No default remote: what the FDB does not know is dropped. Zero clears the one that is there.
    ...(isIpv4(spec.local) ? { group: Buffer.alloc(4) } : { group6: Buffer.alloc(16) }),
  }
  out.push(IFLA.linkinfo, vxlanInfo(vxlan))
  return withAttributes(ifinfomsg(index), out)
}

export const linkRequest = (index: number): Buffer => ifinfomsg(index)

/** RTM_NEWADDR and RTM_DELADDR. */
export function addressMessage(link: number, cidr: Cidr): Buffer {
  const body = Buffer.alloc(8)
  body[0] = cidr.family === 4 ? AF_INET : AF_INET6
  body[1] = cidr.length
  body[2] = cidr.family === 6 ? IFA_F_NODAD : 0 // nobody to ask: the device carries no multicast
  body.writeUInt32LE(link, 4)
  const out = new AttrStream()
  out.push(IFA.local, ipBytes(cidr.address))
  out.push(IFA.address, ipBytes(cidr.address))
  return withAttributes(body, out)
}

/** RTM_GETROUTE: which way would a packet to `ip` take? */
export function routeRequest(ip: Ip): Buffer {
  const body = Buffer.alloc(12)
  body[0] = isIpv4(ip) ? AF_INET : AF_INET6
  body[1] = isIpv4(ip) ? 32 : 128
  const out = new AttrStream()
  out.push(1, ipBytes(ip)) // RTA_DST
  return withAttributes(body, out)
}
