import type { Row, Route } from '../../core/kernel/rows.ts'
import { Cidr } from '../../core/net/cidr.ts'
import { type Ip, isIpv4 } from '../../core/net/ip.ts'
import { Ipv4 } from '../../core/net/ipv4.ts'
import { Ipv6 } from '../../core/net/ipv6.ts'
import { Mac } from '../../core/net/mac.ts'
import { ROUTE_PROTOCOL } from './encode.ts'
import {
  AF_BRIDGE, AF_INET, AF_INET6, HEADER_BYTES, IP6_RT_PRIO_USER, NDA, NTF_PROXY, NUD, RT_TABLE_MAIN, RTA,
  RTM_F_CLONED, RTN_UNICAST, align4, attributeType, eachAttribute, readIp, readMac, s32, u16, u32,
} from './wire.ts' // prettier-ignore

/** A neighbour or FDB message, taken apart. Reused from message to message on the event path. */
export class NeighMessage {
  family = 0
  link = 0
  state = 0
  flags = 0
  dst: Ip | undefined = undefined
  mac: Mac | undefined = undefined
  /** NDA_CACHEINFO ndm_used: ticks since the data path used it. */
  usedTicks = 0
  /** An FDB remote with a port, VNI or interface of its own: not what the device would do by default. */
  detour = false
}

/** Decodes the message that starts at `start` (its header) into `m`, without allocating. */
export function readNeigh(b: Buffer, start: number, end: number, m: NeighMessage): void {
  let at = start + HEADER_BYTES
  m.family = b[at] ?? 0
  m.link = s32(b, at + 4)
  m.state = u16(b, at + 8)
  m.flags = b[at + 10] ?? 0
  m.dst = undefined
  m.mac = undefined
  m.usedTicks = 0
  m.detour = false
  for (at += 12; at + 4 <= end;) {
    const length = u16(b, at)
    if (length < 4 || at + length > end) return
    switch (attributeType(b, at)) {
      case NDA.dst:
        m.dst = readIp(b, at + 4, length - 4)
        break
      case NDA.lladdr:
        m.mac = readMac(b, at + 4, length - 4)
        break
      case NDA.cacheinfo:
        m.usedTicks = u32(b, at + 8)
        break
      case NDA.port:
      case NDA.vni:
      case NDA.ifindex:
        m.detour = true
    }
    at += align4(length)
  }
}

/** A row of one of our kinds, and whether it stands in the kernel as we would have written it. */
export interface Sighting<R extends Row = Row> {
  readonly row: R
  /** False: something else has taken the place of a row with this key. */
  readonly standing: boolean
}

const NO_MAC = Mac.parse('00:00:00:00:00:00')

export function neighSighting(m: NeighMessage): Sighting | undefined {
  if (m.family === AF_BRIDGE) return fdbSighting(m)
  const { dst: ip, link } = m
  if (ip === undefined || (m.flags & NTF_PROXY) !== 0 || isMulticast(ip)) return undefined
  // The kernel's own rows for broadcast and multicast are NOARP too (arp.c, ndisc.c).
  if (m.mac !== undefined && m.mac !== 0 && !Mac.isUnicast(m.mac)) return undefined
  const mac = m.mac ?? NO_MAC
  if (mac === undefined) return undefined
  const state = m.state === NUD.noarp ? 'noarp' : 'permanent'
  const standing = (m.state === NUD.noarp || m.state === NUD.permanent) && Mac.isUnicast(mac)
  return { row: { kind: 'neighbour', link, ip, mac, state }, standing }
}

// `bridge fdb add … permanent` sets NOARP too, so it is one bit that decides.
function fdbSighting(m: NeighMessage): Sighting | undefined {
  const { mac, link, dst: vtep } = m
  if (mac === undefined || vtep === undefined || !Mac.isUnicast(mac)) return undefined
  return { row: { kind: 'fdb', link, mac, vtep }, standing: (m.state & NUD.permanent) !== 0 && !m.detour }
}

const isMulticast = (ip: Ip): boolean => (isIpv4(ip) ? ip >= 0xe0000000 : ip >> 120n === 0xffn) // and 240/4

export interface RouteSighting extends Sighting<Route> {
  readonly metric: number
  readonly protocol: number
  readonly source: Ip | undefined
}

/** A unicast route of the main table, or nothing. `standing` is true for a route of ours. */
export function readRoute(b: Buffer, start: number, end: number): RouteSighting | undefined {
  const at = start + HEADER_BYTES
  const family = b[at]
  if ((family !== AF_INET && family !== AF_INET6) || b[at + 7] !== RTN_UNICAST) return undefined
  if ((u32(b, at + 8) & RTM_F_CLONED) !== 0) return undefined
  let table = b[at + 4] ?? 0
  let address = (family === AF_INET ? Ipv4.of(0) : Ipv6.of(0n)) as Ip | undefined
  let [link, metric] = [0, 0]
  let via: Ip | undefined
  let source: Ip | undefined
  eachAttribute(b, at + 12, end, (type, from, length) => {
    if (type === RTA.table) table = u32(b, from)
    else if (type === RTA.dst) address = readIp(b, from, length)
    else if (type === RTA.oif) link = s32(b, from)
    else if (type === RTA.gateway) via = readIp(b, from, length)
    else if (type === RTA.priority) metric = u32(b, from)
    else if (type === RTA.prefsrc) source = readIp(b, from, length)
    else if (type === RTA.multipath && length >= 8) link = s32(b, from + 4) // the first of them
  })
  if (table !== RT_TABLE_MAIN || address === undefined) return undefined
  const row: Route = { kind: 'route', link, dst: Cidr.of(address, b[at + 1] ?? 0), via }
  const protocol = b[at + 5] ?? 0
  return { row, standing: protocol === ROUTE_PROTOCOL, metric, protocol, source }
}

/** Of the metric that ours have: the only ones that can stand in the place of ours. */
export const hasOurMetric = (s: RouteSighting): boolean =>
  s.metric === (s.row.dst.family === 4 ? 0 : IP6_RT_PRIO_USER)
