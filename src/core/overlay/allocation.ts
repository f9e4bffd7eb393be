import { Cidr } from '../net/cidr.ts'
import { Ipv4 } from '../net/ipv4.ts'
import { Ipv6 } from '../net/ipv6.ts'
import { type IndexRange, Subnets } from '../net/subnets.ts'
import { Fault } from '../fault.ts'
import { isOwn } from './admission.ts'
import type { NetworkConfig, SubnetRange } from './network-config.ts'
import { type OwnIdentity, printPublicIp } from './own.ts'
import { decodeRecord, type LeaseRecord, type StoredRecord, type SubnetKey } from './record.ts'
import { parseSubnetKey, printSubnetKey } from './subnet-key.ts'

/** What a host knows when it looks for a subnet. */
export interface AllocationView {
  readonly config: NetworkConfig
  readonly records: readonly StoredRecord[]
  readonly me: OwnIdentity
  /** What it had before, from its state or flannel's `subnet.env`. */
  readonly previous: SubnetKey | undefined
  /** From 0 up to but not including 1. */
  readonly random: () => number
}

/** One subnet to try, under a guard that makes the try fail if somebody was faster. */
export interface Candidate {
  readonly key: SubnetKey
  readonly keyText: string
  /** The revision that the record must still have; 0 means that it must not exist. */
  readonly guardModRevision: number
  /** A `reservation` is written without a lease, as it was found, and so stays one. */
  readonly kind: 'own' | 'reservation' | 'previous' | 'free'
}

interface Listed {
  readonly stored: StoredRecord
  readonly key: SubnetKey
}

/**
 * The subnets worth trying, best first: what is ours already, what was ours, all others in random order (flannel
 * draws from the first hundred only, so that hosts that start together collide). Lazy: a /8 costs nothing until
 * it is drawn from.
 */
export function* allocationCandidates(view: AllocationView): Generator<Candidate> {
  const listed = view.records.flatMap(list).filter(({ key }) => isSomeonesSubnet(key, view.config))
  for (const own of ownRecords(listed, view)) {
    const kind = own.stored.leaseId === '0' ? 'reservation' : 'own'
    yield candidate(own.key, kind, own.stored.modRevision)
  }
  const { previous } = view
  // Somebody has overwritten our record with garbage: the subnet is still ours, and its containers run.
  const previousText = previous && printSubnetKey(previous)
  const spoiled = listed.find(({ stored }) => stored.key === previousText && !recordOf(stored))
  const taken = listed.filter((other) => other !== spoiled).map(({ key }) => key)
  if (
    previous &&
    fits(previous, view.config) &&
    mayBeNew(previous, view.config) &&
    !taken.some((key) => overlap(key, previous))
  ) {
    taken.push(previous)
    yield candidate(previous, 'previous', spoiled?.stored.modRevision ?? 0)
  }
  for (const key of freeKeys(view, taken)) yield candidate(key, 'free', 0)
}

/** Flannel lets two hosts with one address share a lease without a word; we say who they are. */
export const sharedAddressFault = (records: readonly StoredRecord[], me: OwnIdentity): Fault | undefined => {
  for (const stored of records.filter(mentions(me))) {
    const record = parseSubnetKey(stored.key) && recordOf(stored)
    if (record?.node === undefined || record.node === me.node) continue
    const same4 = record.publicIp !== undefined && record.publicIp === me.ipv4?.publicIp
    const same6 = record.publicIp6 !== undefined && record.publicIp6 === me.ipv6?.publicIp
    if (!same4 && !same6) continue
    const ip = same4 || !me.ipv6 ? printPublicIp(me) : Ipv6.print(me.ipv6.publicIp)
    return Fault.of(
      'lease-conflict',
      `hosts ${me.node} (this one) and ${record.node} (subnet ${stored.key}) both have the public address ` +
        `${ip}: give one of them another with --public-ip, or delete the record if that host is gone`,
    )
  }
  return undefined
}

const candidate = (key: SubnetKey, kind: Candidate['kind'], guardModRevision: number): Candidate => ({
  key,
  keyText: printSubnetKey(key),
  guardModRevision,
  kind,
})

/** A key that is none takes no subnet; a value that is none still does. */
const list = (stored: StoredRecord): readonly Listed[] => {
  const key = parseSubnetKey(stored.key)
  return key ? [{ stored, key }] : []
}

const recordOf = ({ value }: StoredRecord): LeaseRecord | undefined => {
  const decoded = decodeRecord(value)
  return decoded.kind === 'valid' ? decoded.value : undefined
}

/**
 * Spares the decoding of ten thousand values of which none is this host's: a node id and a dotted quad have one
 * spelling each, unless JSON's escapes hide them. An IPv6 address has many.
 */
const mentions = ({ node, ipv4, ipv6 }: OwnIdentity): ((stored: StoredRecord) => boolean) => {
  if (ipv6) return () => true
  const names = [node, ...(ipv4 ? [Ipv4.print(ipv4.publicIp)] : []), '\\']
  return ({ value }) => names.some((name) => value.includes(name))
}

/** The records that name this host, by its id. */
export const recordsNaming = (records: readonly StoredRecord[], me: OwnIdentity): readonly StoredRecord[] =>
  records.filter(mentions(me)).filter((stored) => recordOf(stored)?.node === me.node)

/**
 * A host's subnet of this network, of whatever length: none is larger than a quarter of the network (flannel's rule
 * for SubnetLen). One record that claims more, or something else, must not leave everybody without a subnet.
 */
const isSomeonesSubnet = ({ subnet, subnet6 }: SubnetKey, { ipv4, ipv6 }: NetworkConfig): boolean =>
  isPartOf(subnet, ipv4?.network) && isPartOf(subnet6, ipv6?.network)
const isPartOf = (subnet: Cidr | undefined, network: Cidr | undefined): boolean =>
  !network || !subnet || (Cidr.containsCidr(network, subnet) && subnet.length >= network.length + 2)

/** Ours by node id before ours by address, then the newest, as peers see it. */
const ownRecords = (listed: readonly Listed[], { config, me }: AllocationView): readonly Listed[] => {
  const mine = new Map<Listed, LeaseRecord>()
  const mayBeOurs = mentions(me)
  for (const one of listed) {
    const record = mayBeOurs(one.stored) ? recordOf(one.stored) : undefined
    if (record && isOwn(record, me)) mine.set(one, record)
  }
  const rank = (own: Listed): number => (mine.get(own)?.node === undefined ? 0 : 1)
  return [...mine.keys()]
    .filter(({ key }) => fits(key, config))
    .filter(
      (own) =>
        !listed.some((other) => !mine.has(other) && isOlder(other, own) && overlap(other.key, own.key)),
    )
    .sort((a, b) => rank(b) - rank(a) || b.stored.modRevision - a.stored.modRevision)
}
const isOlder = (a: Listed, b: Listed): boolean => a.stored.createRevision < b.stored.createRevision

const overlap = (a: SubnetKey, b: SubnetKey): boolean =>
  overlapping(a.subnet, b.subnet) || overlapping(a.subnet6, b.subnet6)
const overlapping = (a: Cidr | undefined, b: Cidr | undefined): boolean =>
  a !== undefined && b !== undefined && Cidr.overlaps(a, b)

/**
 * Of the families and lengths that the configuration wants. SubnetMin and SubnetMax bound new allocations only: a
 * subnet that is held or reserved stays, and so do the addresses of its containers.
 */
export const fits = (key: SubnetKey, config: NetworkConfig): boolean =>
  fitsNetwork(key.subnet, config.ipv4) && fitsNetwork(key.subnet6, config.ipv6)

const fitsNetwork = <C extends Cidr>(subnet: C | undefined, range: SubnetRange<C> | undefined): boolean => {
  if (!subnet || !range) return !subnet && !range
  return subnet.length === range.subnetLength && Cidr.containsCidr(range.network, subnet)
}

const mayBeNew = ({ subnet, subnet6 }: SubnetKey, { ipv4, ipv6 }: NetworkConfig): boolean =>
  isAllocatable(subnet, ipv4) && isAllocatable(subnet6, ipv6)
const isAllocatable = <C extends Cidr>(subnet: C | undefined, range: SubnetRange<C> | undefined): boolean =>
  !range ||
  !subnet ||
  (subnet.address >= range.subnetMin.address && subnet.address <= range.subnetMax.address)

/** Each free subnet once; in dual stack the families are drawn separately and paired. */
function* freeKeys({ config, random }: AllocationView, taken: readonly SubnetKey[]): Generator<SubnetKey> {
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
