import { Ipv4 } from './ipv4.ts'
import { Ipv6 } from './ipv6.ts'
import { Cidr, type Cidr4, type Cidr6 } from './cidr.ts'

/** All subnets of one length from the first to the last, both included, counted from 0. */
export interface Subnets<C extends Cidr> {
  readonly first: C
  readonly last: C
  /** Never more than {@link countLimit}; an IPv6 network may hold more, and nobody needs them. */
  readonly count: number
  /** The subnet of that number; undefined outside `0 … count - 1`. */
  readonly at: (index: number) => C | undefined
  /** The numbers of the subnets that share an address with a prefix; undefined if there are none. */
  readonly overlapping: (prefix: Cidr) => IndexRange | undefined
}

/** Both ends included. */
export interface IndexRange {
  readonly low: number
  readonly high: number
}

export const countLimit = 2 ** 32

export const Subnets = {
  /** From two subnets of one length, without host bits. */
  between: <C extends Cidr>(first: C, last: C): Subnets<C> => {
    const shift = BigInt(addressBits(first) - first.length)
    const start = BigInt(first.address) >> shift
    const count = clamp((BigInt(last.address) >> shift) - start + 1n, 0n, BigInt(countLimit))
    const index = (address: bigint): bigint => (address >> shift) - start
    return {
      first,
      last,
      count: Number(count),
      at: (i) =>
        Number.isInteger(i) && i >= 0 && i < Number(count)
          ? withAddress(first, (start + BigInt(i)) << shift)
          : undefined,
      overlapping: (prefix) => {
        if (prefix.family !== first.family) return undefined
        const low = index(BigInt(Cidr.network(prefix).address))
        const high = index(lastAddress(prefix))
        if (high < 0n || low >= count || count === 0n) return undefined
        return { low: Number(clamp(low, 0n, count - 1n)), high: Number(clamp(high, 0n, count - 1n)) }
      },
    }
  },

  /** All subnets of a length inside a network. */
  inside: <C extends Cidr>(network: C, length: number): Subnets<C> => {
    const first = { ...Cidr.network(network), length }
    return Subnets.between(first, withAddress(first, lastAddress(network)))
  },

  /** One by one, in the order of addresses. */
  *each<C extends Cidr>(subnets: Subnets<C>): Generator<C> {
    for (let i = 0; i < subnets.count; i++) {
      const subnet = subnets.at(i)
      if (subnet !== undefined) yield subnet
    }
  },
} as const

const addressBits = (cidr: Cidr): number => (cidr.family === 4 ? 32 : 128)

const lastAddress = (cidr: Cidr): bigint => {
  const hostBits = BigInt(addressBits(cidr) - cidr.length)
  return BigInt(Cidr.network(cidr).address) | ((1n << hostBits) - 1n)
}

/** The same length and family at another address, host bits zero. */
const withAddress = <C extends Cidr>(like: C, address: bigint): C => {
  const c: Cidr = like
  const moved: Cidr4 | Cidr6 =
    c.family === 4 ? { ...c, address: Ipv4.of(Number(address)) } : { ...c, address: Ipv6.of(address) }
  return Cidr.network(moved) as C
}

const clamp = (n: bigint, low: bigint, high: bigint): bigint => (n < low ? low : n > high ? high : n)
