import type { Branded } from '../brand.ts'
import { Ipv4 } from './ipv4.ts'

/** An IPv6 address as the bigint that its 128 bits make, so that it is a map key. */
export type Ipv6 = Branded<bigint, 'Ipv6'>

const MAX = (1n << 128n) - 1n

export const Ipv6 = {
  /** From 128 bits. */
  of: (bits: bigint): Ipv6 => BigInt.asUintN(128, bits) as Ipv6,

  /** The text forms of RFC 4291 §2.2, without a zone. */
  parse: (text: string): Ipv6 | undefined => {
    const embedded = /^(.*:)(\d+\.\d+\.\d+\.\d+)$/.exec(text)
    if (embedded) {
      const v4 = Ipv4.parse(embedded[2] ?? '')
      if (v4 === undefined) return undefined
      const low = `${(v4 >>> 16).toString(16)}:${(v4 & 0xffff).toString(16)}`
      return Ipv6.parse(`${embedded[1] ?? ''}${low}`)
    }
    const halves = text.split('::')
    if (halves.length > 2) return undefined
    const [head = [], tail = []] = halves.map((half) => (half === '' ? [] : half.split(':')))
    const missing = 8 - head.length - tail.length
    if (halves.length === 1 ? missing !== 0 : missing < 1) return undefined
    const groups = [...head, ...Array<string>(missing).fill('0'), ...tail]
    let bits = 0n
    for (const group of groups) {
      if (!/^[0-9a-fA-F]{1,4}$/.test(group)) return undefined
      bits = (bits << 16n) | BigInt(parseInt(group, 16))
    }
    return bits as Ipv6
  },

  /** The canonical form of RFC 5952, which Go prints too; flannel's keys contain it. */
  print: (ip: Ipv6): string => {
    const groups = Array.from({ length: 8 }, (_, i) => Number((ip >> BigInt(112 - 16 * i)) & 0xffffn))
    const { start, length } = longestZeroRun(groups)
    const hex = groups.map((g) => g.toString(16))
    if (length < 2) return hex.join(':')
    return `${hex.slice(0, start).join(':')}::${hex.slice(start + length).join(':')}`
  },

  /** The network mask of a prefix length, 0 to 128. */
  mask: (length: number): bigint => (MAX >> BigInt(128 - length)) << BigInt(128 - length),

  /** The address with the host bits of a prefix length zero. */
  masked: (ip: Ipv6, length: number): Ipv6 => (ip & Ipv6.mask(length)) as Ipv6,
} as const

/** RFC 5952 §4.2: the longest run of zero groups, the first of equals. */
function longestZeroRun(groups: readonly number[]): { start: number; length: number } {
  let best = { start: 0, length: 0 }
  for (let start = 0; start < groups.length; start++) {
    let length = 0
    while (groups[start + length] === 0) length++
    if (length > best.length) best = { start, length }
  }
  return best
}
