import { routeProtocol } from '../../core/kernel/notation.ts'
import type { FdbEntry, Neighbour, Op, Route } from '../../core/kernel/rows.ts'
import { type Ip, isIpv4 } from '../../core/net/ip.ts'
import type { Mac } from '../../core/net/mac.ts'
import {
  AF_BRIDGE, AF_INET, AF_INET6, NDA, NLM_F, NTF_SELF, NUD, RT_SCOPE, RT_TABLE_MAIN,
  RTA, RTM, RTN_UNICAST, RTNH_F_ONLINK, swap16, swap32,
} from './wire.ts' // prettier-ignore

/** rtm_protocol of every route of ours: how a restarted agent, and a person, tells whose it is. */
export const ROUTE_PROTOCOL = routeProtocol

/** No message of {@link encodeOp} is longer: 4 header, 3 body, two addresses of 5, one attribute of 2. */
export const MAX_OP_WORDS = 19

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

/**
 * Writes the message for `op` from word `at` on and returns where it ends. Word by word and without a view between:
 * a process writes most of its rows in its first second, before V8 has compiled anything.
 */
export function encodeOp(w: Int32Array, at: number, op: Op, seq: number): number {
  const { row } = op
  const adds = op.verb === 'add'
  let end: number
  if (row.kind === 'route') {
    // A route of somebody else is never replaced: NLM_F_REPLACE does not look at the protocol (fib_trie.c).
    const flags = op.replace === true ? REPLACE : NLM_F.request | NLM_F.create | NLM_F.excl
    w[at + 1] = adds ? RTM.newRoute | (flags << 16) : RTM.delRoute | (NLM_F.request << 16)
    end = encodeRoute(w, at, row, adds)
  } else {
    w[at + 1] = adds ? RTM.newNeigh | (REPLACE << 16) : RTM.delNeigh | (NLM_F.request << 16)
    end = row.kind === 'fdb' ? encodeFdb(w, at, row) : encodeNeighbour(w, at, row)
  }
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

function encodeNeighbour(w: Int32Array, at: number, row: Neighbour): number {
  w[at + 4] = isIpv4(row.ip) ? AF_INET : AF_INET6
  w[at + 5] = row.link
  w[at + 6] = row.state === 'noarp' ? NUD.noarp : NUD.permanent
  return putMac(w, putIp(w, at + 7, NDA.dst, row.ip), row.mac)
}

function encodeRoute(w: Int32Array, at: number, row: Route, adds: boolean): number {
  const { dst, via } = row
  const scope = adds ? (via === undefined ? RT_SCOPE.link : RT_SCOPE.universe) : RT_SCOPE.nowhere // delete: any
  w[at + 4] = (dst.family === 4 ? AF_INET : AF_INET6) | (dst.length << 8) // source length and TOS 0
  w[at + 5] = RT_TABLE_MAIN | (ROUTE_PROTOCOL << 8) | (scope << 16) | (adds ? RTN_UNICAST << 24 : 0) // in a delete too: only a route of ours matches
  w[at + 6] = adds && via !== undefined ? RTNH_F_ONLINK : 0
  const end = putIp(w, at + 7, RTA.dst, dst.address)
  w[end] = 8 | (RTA.oif << 16)
  w[end + 1] = row.link
  // A delete names destination and device only: the next hop may have been changed behind our back.
  return adds && via !== undefined ? putIp(w, end + 2, RTA.gateway, via) : end + 2
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
