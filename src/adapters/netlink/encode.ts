import { routeProtocol } from '../../core/kernel/notation.ts'
import type { FdbEntry, Neighbour, Op, Route } from '../../core/kernel/rows.ts'
import { type Ip, isIpv4 } from '../../core/net/ip.ts'
import type { Mac } from '../../core/net/mac.ts'
import {
  AF_BRIDGE, AF_INET, AF_INET6, HEADER_BYTES, NDA, NLM_F, NTF_SELF, NUD, RT_SCOPE, RT_TABLE_MAIN,
  RTA, RTM, RTN_UNICAST, RTNH_F_ONLINK,
} from './wire.ts' // prettier-ignore

/** rtm_protocol of every route of ours: how a restarted agent, and a person, tells whose it is. */
export const ROUTE_PROTOCOL = routeProtocol

/** No message of {@link encodeOp} is longer: 16 header, 12 body, two addresses of 20, one attribute of 8. */
export const MAX_OP_BYTES = 76

/** Writes the message for `op` at `at` and returns its length, a multiple of four. */
export function encodeOp(b: Buffer, at: number, op: Op, seq: number): number {
  const { row } = op
  let end: number
  switch (row.kind) {
    case 'fdb':
      end = encodeFdb(b, at, row)
      break
    case 'neighbour':
      end = encodeNeighbour(b, at, row)
      break
    case 'route':
      end = encodeRoute(b, at, row, op.verb === 'add')
      break
  }
  b.writeUInt32LE(end - at, at)
  b.writeUInt16LE(messageType(op), at + 4)
  b.writeUInt16LE(messageFlags(op), at + 6)
  b.writeUInt32LE(seq, at + 8)
  b.writeUInt32LE(0, at + 12)
  return end - at
}

/** Sets NLM_F_ACK on the message at `at`: without it only a refusal is answered. */
export const requestAck = (b: Buffer, at: number): void => {
  b[at + 6] = (b[at + 6] ?? 0) | NLM_F.ack
}

function messageType(op: Op): number {
  if (op.row.kind === 'route') return op.verb === 'add' ? RTM.newRoute : RTM.delRoute
  return op.verb === 'add' ? RTM.newNeigh : RTM.delNeigh
}

function messageFlags(op: Op): number {
  if (op.verb === 'remove') return NLM_F.request
  // A route of somebody else is never replaced: NLM_F_REPLACE does not look at the protocol (fib_trie.c).
  const exclusive = op.row.kind === 'route' && op.replace !== true
  return NLM_F.request | NLM_F.create | (exclusive ? NLM_F.excl : NLM_F.replace)
}

function encodeFdb(b: Buffer, at: number, row: FdbEntry): number {
  // vxlan_core.c: permanent does not age and is never moved by learning.
  writeNdmsg(b, at, { family: AF_BRIDGE, link: row.link, state: NUD.permanent, flags: NTF_SELF })
  return putIp(b, putMac(b, at + HEADER_BYTES + 12, row.mac), NDA.dst, row.vtep)
}

function encodeNeighbour(b: Buffer, at: number, row: Neighbour): number {
  const family = isIpv4(row.ip) ? AF_INET : AF_INET6
  const state = row.state === 'noarp' ? NUD.noarp : NUD.permanent
  writeNdmsg(b, at, { family, link: row.link, state, flags: 0 })
  return putMac(b, putIp(b, at + HEADER_BYTES + 12, NDA.dst, row.ip), row.mac)
}

interface Ndmsg {
  readonly family: number
  readonly link: number
  readonly state: number
  readonly flags: number
}

function writeNdmsg(b: Buffer, at: number, m: Ndmsg): void {
  b.writeUInt32LE(m.family, at + 16)
  b.writeInt32LE(m.link, at + 20)
  b.writeUInt32LE(m.state | (m.flags << 16), at + 24)
}

function encodeRoute(b: Buffer, at: number, row: Route, add: boolean): number {
  const { dst, via } = row
  const scope = add ? (via === undefined ? RT_SCOPE.link : RT_SCOPE.universe) : RT_SCOPE.nowhere // delete: any
  b[at + 16] = dst.family === 4 ? AF_INET : AF_INET6
  b[at + 17] = dst.length
  b.writeUInt16LE(0, at + 18) // source length, TOS
  b[at + 20] = RT_TABLE_MAIN
  b[at + 21] = ROUTE_PROTOCOL // in a delete too: only a route of ours matches
  b[at + 22] = scope
  b[at + 23] = add ? RTN_UNICAST : 0
  b.writeUInt32LE(add && via !== undefined ? RTNH_F_ONLINK : 0, at + 24)
  let end = putIp(b, at + 28, RTA.dst, dst.address)
  b.writeUInt32LE(8 | (RTA.oif << 16), end)
  b.writeInt32LE(row.link, end + 4)
  end += 8
  // A delete names destination and device only: the next hop may have been changed behind our back.
  return add && via !== undefined ? putIp(b, end, RTA.gateway, via) : end
}

function putIp(b: Buffer, at: number, type: number, ip: Ip): number {
  if (isIpv4(ip)) {
    b.writeUInt32LE(8 | (type << 16), at)
    b.writeUInt32BE(ip, at + 4)
    return at + 8
  }
  b.writeUInt32LE(20 | (type << 16), at)
  b.writeBigUInt64BE(ip >> 64n, at + 4)
  b.writeBigUInt64BE(ip & 0xffff_ffff_ffff_ffffn, at + 12)
  return at + 20
}

function putMac(b: Buffer, at: number, mac: Mac): number {
  b.writeUInt32LE(10 | (NDA.lladdr << 16), at)
  b.writeUIntBE(mac, at + 4, 6)
  b.writeUInt16LE(0, at + 10) // padding
  return at + 12
}
