import { routeProtocol } from '../../core/kernel/notation.ts'
import type { FdbEntry, Neighbour, Op, Route } from '../../core/kernel/rows.ts'
import { type Ip, isIpv4 } from '../../core/net/ip.ts'
import type { Mac } from '../../core/net/mac.ts'
import type { Miss } from '../../ports/kernel.ts'
import {
  AF_BRIDGE, AF_INET, AF_INET6, NDA, NHA, NLM_F, NTF_SELF, NUD, RT_SCOPE, RT_TABLE_MAIN,
  RTA, RTM, RTN_UNICAST, RTNH_F_ONLINK, swap16, swap32,
} from './wire.ts' // prettier-ignore

/** rtm_protocol of every route of ours: how a restarted agent, and a person, tells whose it is. */
export const ROUTE_PROTOCOL = routeProtocol

/**
 * Nothing for one operation is longer: an IPv4 route of 11 words and its nexthop object of 12. A route of IPv6 has 19:
 * 4 header, 3 body, two addresses of 5, one attribute of 2.
 */
export const MAX_OP_WORDS = 23

/** A buffer for messages, seen as the words that all of their fields are made of: netlink aligns to four bytes. */
export interface Outgoing {
  readonly bytes: Buffer
  /** Signed, so that what has its highest bit set stays a small integer for V8. */
  readonly words: Int32Array
}

export function outgoing(messages: number): Outgoing {
  const words = new Int32Array(messages * MAX_OP_WORDS)
  return { bytes: Buffer.from(words.buffer), words }
}

export interface MessageOptions {
  readonly seq: number
  /** Id of the nexthop object that an added route names. */
  readonly nexthop?: number | undefined
}

interface NexthopOptions {
  readonly seq: number
  readonly id: number
}

/** Of IPv4, by way of the first address of the destination, which is the host that has it. */
export const isTunnelRoute = ({ dst, via }: Route): boolean =>
  via !== undefined && isIpv4(via) && via === dst.address

/**
 * Writes the message for `op` from word `at` on and returns where it ends. Word by word and without a view between:
 * a process writes most of its rows in its first second, before V8 has compiled anything.
 */
export function encodeOp(w: Int32Array, at: number, op: Op, { seq, nexthop }: MessageOptions): number {
  const { row } = op
  const adds = op.verb === 'add'
  let end: number
  if (row.kind === 'route') {
    // A route of somebody else is never replaced: NLM_F_REPLACE does not look at the protocol (fib_trie.c).
    const flags = op.replace === true ? REPLACE : NLM_F.request | NLM_F.create | NLM_F.excl
    w[at + 1] = adds ? RTM.newRoute | (flags << 16) : RTM.delRoute | (NLM_F.request << 16)
    end = adds ? encodeRoute(w, at, row, nexthop) : encodeRouteKey(w, at, row)
  } else if (row.kind === 'neighbour' && op.inUse === true) {
    w[at + 1] = RTM.newNeigh | ((NLM_F.request | NLM_F.replace) << 16)
    end = encodeNeighbour(w, at, row, NUD.failed)
  } else {
    w[at + 1] = adds ? RTM.newNeigh | (REPLACE << 16) : RTM.delNeigh | (NLM_F.request << 16)
    end = row.kind === 'fdb' ? encodeFdb(w, at, row) : encodeNeighbour(w, at, row)
  }
  return finish(w, at, end, seq)
}

/** The object that a route names by `id`: its gateway is the route's. One that is there already is refused, and right. */
export function encodeNewNexthop(w: Int32Array, at: number, row: Route, { seq, id }: NexthopOptions): number {
  w[at + 1] = RTM.newNexthop | ((NLM_F.request | NLM_F.create | NLM_F.excl) << 16)
  w[at + 4] = AF_INET | (ROUTE_PROTOCOL << 16) // struct nhmsg: family, scope 0, protocol
  w[at + 5] = RTNH_F_ONLINK
  w[at + 6] = 8 | (NHA.id << 16)
  w[at + 7] = id
  w[at + 8] = 8 | (NHA.oif << 16)
  w[at + 9] = row.link
  return finish(w, at, putIp(w, at + 10, NHA.gateway, row.dst.address), seq)
}

/** Only when no route names it any more: the kernel would search all routes for those that do. */
export function encodeDelNexthop(w: Int32Array, at: number, { seq, id }: NexthopOptions): number {
  w[at + 1] = RTM.delNexthop | (NLM_F.request << 16)
  w[at + 4] = 0
  w[at + 5] = 0
  w[at + 6] = 8 | (NHA.id << 16)
  w[at + 7] = id
  return finish(w, at, at + 8, seq)
}

/** The kernel's question for an address (neighbour.c: neigh_app_ns), for a stage: we hear it and never send it. */
export function encodeMiss(w: Int32Array, { link, ip, probe }: Miss): number {
  w[1] = RTM.getNeigh | (NLM_F.request << 16)
  w[4] = isIpv4(ip) ? AF_INET : AF_INET6
  w[5] = link
  w[6] = probe ? NUD.probe : NUD.incomplete
  const at = putIp(w, 7, NDA.dst, ip)
  w[at] = 8 | (NDA.probes << 16)
  w[at + 1] = 0
  w[at + 2] = 20 | (NDA.cacheinfo << 16)
  return finish(w, 0, at + 7, 0)
}

function finish(w: Int32Array, at: number, end: number, seq: number): number {
  w[at] = (end - at) * 4
  w[at + 2] = seq
  w[at + 3] = 0
  return end
}

const REPLACE = NLM_F.request | NLM_F.create | NLM_F.replace

/** Sets NLM_F_ACK on the message at `at`: without it only a refusal is answered. */
export const requestAck = (w: Int32Array, at: number): void => {
  w[at + 1] = (w[at + 1] ?? 0) | (NLM_F.ack << 16)
}

function encodeFdb(w: Int32Array, at: number, row: FdbEntry): number {
  w[at + 4] = AF_BRIDGE
  w[at + 5] = row.link
  // vxlan_core.c: permanent does not age and is never moved by learning.
  w[at + 6] = NUD.permanent | (NTF_SELF << 16)
  return putIp(w, putMac(w, at + 7, row.mac), NDA.dst, row.vtep)
}

/**
 * In the state FAILED where packets may be finding the row: the next one asks again. Of a neighbour that is deleted the
 * kernel drops what has just found it (neighbour.c: __neigh_event_send, NEIGH_DEAD). It collects failed ones itself.
 */
function encodeNeighbour(w: Int32Array, at: number, row: Neighbour, state: number = NUD[row.state]): number {
  w[at + 4] = isIpv4(row.ip) ? AF_INET : AF_INET6
  w[at + 5] = row.link
  w[at + 6] = state
  return putMac(w, putIp(w, at + 7, NDA.dst, row.ip), row.mac)
}

/** With its next hop, or the id of the object that has it. */
function encodeRoute(w: Int32Array, at: number, row: Route, nexthop: number | undefined): number {
  const { via } = row
  const end = encodeDestination(w, at, row, via === undefined ? RT_SCOPE.link : RT_SCOPE.universe)
  w[at + 5] = (w[at + 5] ?? 0) | (RTN_UNICAST << 24)
  if (nexthop !== undefined) {
    w[end] = 8 | (RTA.nexthopId << 16)
    w[end + 1] = nexthop
    return end + 2
  }
  if (via !== undefined) w[at + 6] = RTNH_F_ONLINK
  w[end] = 8 | (RTA.oif << 16)
  w[end + 1] = row.link
  return via === undefined ? end + 2 : putIp(w, end + 2, RTA.gateway, via)
}

/**
 * What a delete names: destination and device, since the next hop may have been changed behind our back. Of a route
 * with a nexthop object the destination alone: with a device no such route matches (fib_semantics.c: fib_nh_match).
 */
function encodeRouteKey(w: Int32Array, at: number, row: Route): number {
  const end = encodeDestination(w, at, row, RT_SCOPE.nowhere) // any
  if (isTunnelRoute(row)) return end
  w[end] = 8 | (RTA.oif << 16)
  w[end + 1] = row.link
  return end + 2
}

/** The protocol in a delete too: only a route of ours matches. */
function encodeDestination(w: Int32Array, at: number, { dst }: Route, scope: number): number {
  w[at + 4] = (dst.family === 4 ? AF_INET : AF_INET6) | (dst.length << 8) // source length and TOS 0
  w[at + 5] = RT_TABLE_MAIN | (ROUTE_PROTOCOL << 8) | (scope << 16)
  w[at + 6] = 0
  return putIp(w, at + 7, RTA.dst, dst.address)
}

function putIp(w: Int32Array, at: number, type: number, ip: Ip): number {
  if (isIpv4(ip)) {
    w[at] = 8 | (type << 16)
    w[at + 1] = swap32(ip)
    return at + 2
  }
  w[at] = 20 | (type << 16)
  for (let i = 0; i < 4; i++) w[at + 1 + i] = swap32(Number((ip >> BigInt(96 - 32 * i)) & 0xffff_ffffn))
  return at + 5
}

function putMac(w: Int32Array, at: number, mac: Mac): number {
  const high = Math.floor(mac / 65_536)
  w[at] = 10 | (NDA.lladdr << 16)
  w[at + 1] = swap32(high)
  w[at + 2] = swap16(mac - high * 65_536) // and two bytes of padding
  return at + 3
}
