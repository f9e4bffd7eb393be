import type { Cidr } from '../net/cidr.ts'
import { type IndexRange, Subnets } from '../net/subnets.ts'
import type { NetworkConfig, SubnetRange } from './network-config.ts'
import type { SubnetKey } from './record.ts'

interface Draw {
  readonly config: Pick<NetworkConfig, 'ipv4' | 'ipv6'>
  /** From 0 up to but not including 1. */
  readonly random: () => number
}

/** Each free subnet once; in dual stack the families are drawn separately and paired. */
export function* freeKeys({ config, random }: Draw, taken: readonly SubnetKey[]): Generator<SubnetKey> {
  const { ipv4, ipv6 } = config
  const taken4 = taken.flatMap((key) => key.subnet ?? [])
  const taken6 = taken.flatMap((key) => key.subnet6 ?? [])
  const subnets = ipv4 && draw(ipv4, taken4, random)
  const subnets6 = ipv6 && draw(ipv6, taken6, random)
  for (;;) {
    const subnet = subnets?.next().value
    const subnet6 = subnets6?.next().value
    if ((ipv4 && !subnet) || (ipv6 && !subnet6)) return
    yield { subnet, subnet6 }
  }
}

/** All subnets of the range that overlap none of the taken ones, in random order. */
function* draw<C extends Cidr>(
  range: SubnetRange<C>,
  taken: readonly C[],
  random: () => number,
): Generator<C, undefined> {
  const subnets = Subnets.between(range.subnetMin, range.subnetMax)
  const gaps = gapsBetween(
    taken.flatMap((prefix) => subnets.overlapping(prefix) ?? []),
    subnets.count,
  )
  for (const n of shuffled(gaps.count, random)) {
    const subnet = subnets.at(gaps.at(n))
    if (subnet) yield subnet
  }
  return undefined
}

/** Fisher and Yates, backwards, remembering only what was moved: as much memory as was drawn. */
function* shuffled(count: number, random: () => number): Generator<number> {
  const moved = new Map<number, number>()
  for (let left = count; left > 0; left--) {
    const pick = Math.floor(random() * left)
    yield moved.get(pick) ?? pick
    moved.set(pick, moved.get(left - 1) ?? left - 1)
    moved.delete(left - 1)
  }
}

interface Gaps {
  readonly count: number
  /** The index of the n-th free one. */
  readonly at: (n: number) => number
}

const gapsBetween = (taken: readonly IndexRange[], count: number): Gaps => {
  const starts: { readonly index: number; readonly before: number }[] = []
  let next = 0
  let free = 0
  for (const { low, high } of [...taken, { low: count, high: count }].sort((a, b) => a.low - b.low)) {
    if (low > next) {
      starts.push({ index: next, before: free })
      free += low - next
    }
    next = Math.max(next, high + 1)
  }
  return {
    count: free,
    at: (n) => {
      let [low, high] = [0, starts.length - 1]
      while (low < high) {
        const middle = Math.ceil((low + high) / 2)
        if ((starts[middle]?.before ?? 0) <= n) low = middle
        else high = middle - 1
      }
      const start = starts[low] ?? { index: 0, before: 0 }
      return start.index + n - start.before
    },
  }
}
