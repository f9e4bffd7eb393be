import { Ipv4 } from '../../core/net/ipv4.ts'
import { Ipv6 } from '../../core/net/ipv6.ts'
import type { Ip } from '../../core/net/ip.ts'
import { Mac } from '../../core/net/mac.ts'

/** Numbers of the kernel's `include/uapi/linux`: netlink.h, rtnetlink.h, neighbour.h, if_link.h, if_addr.h. */
/** Between processes: there is no kernel at the other end. */
export const NETLINK_USERSOCK = 2
export const NLMSG_ERROR = 2
export const NLMSG_DONE = 3
export const NLM_F = {
  request: 1, ack: 4, dumpInterrupted: 0x10, capped: 0x100, ackTlvs: 0x200,
  dump: 0x300, replace: 0x100, excl: 0x200, create: 0x400,
} as const // prettier-ignore
export const NETLINK_CAP_ACK = 10
export const NETLINK_EXT_ACK = 11
export const NETLINK_GET_STRICT_CHK = 12

export const RTM = {
  newLink: 16, delLink: 17, getLink: 18, setLink: 19,
  newAddress: 20, delAddress: 21, getAddress: 22,
  newRoute: 24, delRoute: 25, getRoute: 26,
  newNeigh: 28, delNeigh: 29, getNeigh: 30,
  getNeighTable: 66, setNeighTable: 67,
  newNexthop: 104, delNexthop: 105, getNexthop: 106,
} as const // prettier-ignore

export const AF_INET = 2
export const AF_BRIDGE = 7
export const AF_INET6 = 10

/** `enum rtnetlink_groups`. */
export const GROUP = {
  link: 1,
  neigh: 3,
  ipv4Address: 5,
  ipv4Route: 7,
  ipv6Address: 9,
  ipv6Route: 11,
  nexthop: 32,
} as const

export const NUD = { incomplete: 1, probe: 0x10, failed: 0x20, noarp: 0x40, permanent: 0x80 } as const
export const NTF_SELF = 2
export const NTF_PROXY = 8
export const NDA = { dst: 1, lladdr: 2, cacheinfo: 3, probes: 4, port: 6, vni: 7, ifindex: 8 } as const

export const RTA = {
  dst: 1,
  oif: 4,
  gateway: 5,
  priority: 6,
  prefsrc: 7,
  multipath: 9,
  table: 15,
  via: 18,
  nexthopId: 30,
} as const
export const NHA = { id: 1, oif: 5, gateway: 6 } as const
export const RT_TABLE_MAIN = 254
export const RTN_UNICAST = 1
export const RT_SCOPE = { universe: 0, link: 253, nowhere: 255 } as const
export const RTNH_F_ONLINK = 4
export const RTM_F_CLONED = 0x200
/** ip6_fib.h: what the kernel gives an IPv6 route that asks for no metric. IPv4's is 0. */
export const IP6_RT_PRIO_USER = 1024

export const HEADER_BYTES = 16

export const align4 = (n: number): number => (n + 3) & ~3

// By hand: on the miss path these are called a dozen times per message and Buffer's own check their arguments.
export const u16 = (b: Uint8Array, at: number): number => (b[at] ?? 0) | ((b[at + 1] ?? 0) << 8)
export const s32 = (b: Uint8Array, at: number): number => u16(b, at) | (u16(b, at + 2) << 16)
export const u32 = (b: Uint8Array, at: number): number => s32(b, at) >>> 0
const u32be = (b: Uint8Array, at: number): number =>
  (((b[at] ?? 0) << 24) | ((b[at + 1] ?? 0) << 16) | ((b[at + 2] ?? 0) << 8) | (b[at + 3] ?? 0)) >>> 0

/** Bytes in the order of the network, for a word in the order of this machine; what comes out is signed. */
export const swap32 = (n: number): number =>
  (n << 24) | ((n & 0xff00) << 8) | ((n >>> 8) & 0xff00) | ((n >>> 24) & 0xff)
export const swap16 = (n: number): number => ((n & 0xff) << 8) | ((n >>> 8) & 0xff)

/** Type of the attribute at `at`, without NLA_F_NESTED and NLA_F_NET_BYTEORDER. */
export const attributeType = (b: Uint8Array, at: number): number => u16(b, at + 2) & 0x3fff

/** An address of 4 or 16 bytes. */
export function readIp(b: Buffer, at: number, length: number): Ip | undefined {
  if (length === 4) return Ipv4.of(u32be(b, at))
  if (length === 16) return Ipv6.of((b.readBigUInt64BE(at) << 64n) | b.readBigUInt64BE(at + 8))
  return undefined
}

export const readMac = (b: Uint8Array, at: number, length: number): Mac | undefined =>
  length === 6 ? Mac.of(((b[at] ?? 0) * 256 + (b[at + 1] ?? 0)) * 2 ** 32 + u32be(b, at + 2)) : undefined

export const readString = (b: Buffer, at: number, length: number): string => {
  const nul = b.indexOf(0, at)
  return b.toString('utf8', at, nul >= 0 && nul < at + length ? nul : at + length)
}

/** Calls `visit` for each attribute between `at` and `end`; stops at one that is cut short. */
export function eachAttribute(
  b: Uint8Array,
  at: number,
  end: number,
  visit: (type: number, at: number, length: number) => void,
): void {
  while (at + 4 <= end) {
    const length = u16(b, at)
    if (length < 4 || at + length > end) return
    visit(attributeType(b, at), at + 4, length - 4)
    at += align4(length)
  }
}

/** Calls `visit` for each message of a datagram with its type, its payload's bounds and its start. */
export function eachMessage(
  b: Uint8Array,
  length: number,
  visit: (type: number, start: number, end: number) => void,
): void {
  let start = 0
  while (start + HEADER_BYTES <= length) {
    const size = u32(b, start)
    if (size < HEADER_BYTES || start + size > length) return
    visit(u16(b, start + 4), start, start + size)
    start += align4(size)
  }
}

export const messageFlags = (b: Uint8Array, start: number): number => u16(b, start + 6)
export const messageSeq = (b: Uint8Array, start: number): number => u32(b, start + 8)
/** Port id of whose request a notification is the consequence; 0 is the kernel itself. */
export const messagePort = (b: Uint8Array, start: number): number => u32(b, start + 12)
