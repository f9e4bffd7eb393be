import type { Cidr } from '../net/cidr.ts'
import { Ipv6 } from '../net/ipv6.ts'
import { Fault } from '../fault.ts'
import { isOwn } from './admission.ts'
import { freeKeys } from './free-subnets.ts'
import {
  isUnused,
  list,
  type Listed,
  listRecords,
  mentions,
  ownAmong,
  type OwnListed,
  overlap,
  printHold,
} from './listed-records.ts'
import type { NetworkConfig, SubnetRange } from './network-config.ts'
import { type OwnIdentity, printPublicIp } from './own.ts'
import type { StoredRecord, SubnetKey } from './record.ts'
import { fits, misfit } from './subnet-fit.ts'
import { printSubnetKey, printSubnets } from './subnet-key.ts'

/** What a host knows when it looks for a subnet. */
export interface AllocationView {
  readonly config: NetworkConfig
  readonly records: readonly StoredRecord[]
  readonly me: OwnIdentity
  /** What it forwards for, or did in its last run: its containers have these addresses. */
  readonly held: SubnetKey | undefined
  /** What flannel's `subnet.env` names. */
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
  readonly kind: 'own' | 'reservation' | 'previous' | 'static' | 'free'
}

/**
 * The subnets worth trying, best first: what is ours already, what is reserved for us, what was ours, all others in
 * random order (flannel draws from the first hundred only, so that hosts that start together collide). Lazy: a /8
 * costs nothing until it is drawn from.
 */
export function* allocationCandidates(view: AllocationView): Generator<Candidate> {
  const listed = listRecords(view)
  const own = ownRecords(listed, view)
  const kept = [...keptAmong(listed, own, view)]
  yield* kept
  yield* own.filter(isUnused).map(ownCandidate)
  if (kept.length === 0) yield* halves(view)
  const previous = view.previous && mayBeNew(view.previous, view.config) ? view.previous : undefined
  const again = kept.some(({ key }) => previous && overlap(key, previous))
    ? undefined
    : formerCandidate(previous, listed, view.config)
  if (again) yield again
  const gone = [...kept, ...(again ? [again] : [])].map(({ key }) => key)
  const taken = [...listed.map(({ key }) => key), ...gone]
  for (const key of freeKeys(view, taken)) yield candidate(key, 'free', 0)
}

/** What containers of this host run with: its records, and the subnet that it held if only the record is gone. */
export const keptCandidates = (view: AllocationView): readonly Candidate[] => {
  const listed = listRecords(view)
  return [...keptAmong(listed, ownRecords(listed, view), view)]
}

function* keptAmong(
  listed: readonly Listed[],
  own: readonly OwnListed[],
  { held, config }: AllocationView,
): Generator<Candidate> {
  const used = own.filter((record) => !isUnused(record))
  yield* used.map(ownCandidate)
  if (used.some(({ key }) => held && overlap(key, held))) return
  const again = formerCandidate(held, listed, config)
  if (again) yield again
}

/**
 * Where a family comes or goes, or the range of one moves: the subnet of the other stays, and so do the addresses of
 * the containers.
 */
function* halves(view: AllocationView): Generator<Candidate> {
  const listed = view.records.flatMap(list) // of the network before too
  const mine = ownAmong(listed, view.me).filter((own) => !isUnused(own))
  const others = listed.filter(({ stored }) => !mine.some((own) => own.stored.key === stored.key))
  for (const { key } of mine) {
    const { ipv4, ipv6, backend } = view.config
    const only4 = { subnet: key.subnet, subnet6: undefined }
    const only6 = { subnet: undefined, subnet6: key.subnet6 }
    const stay = {
      subnet: ipv4 && fits(only4, { ipv4, ipv6: undefined, backend }) ? key.subnet : undefined,
      subnet6: ipv6 && fits(only6, { ipv4: undefined, ipv6, backend }) ? key.subnet6 : undefined,
    }
    const isHalf = (stay.subnet ?? stay.subnet6) !== undefined && !fits(key, view.config)
    if (!isHalf || others.some((other) => overlap(other.key, stay))) continue
    const missing = { backend, ipv4: stay.subnet ? undefined : ipv4, ipv6: stay.subnet6 ? undefined : ipv6 }
    if (!missing.ipv4 && !missing.ipv6) yield candidate(stay, 'free', 0)
    else
      for (const drawn of freeKeys(
        { ...view, config: missing },
        listed.map((each) => each.key),
      ))
        yield candidate(
          { subnet: stay.subnet ?? drawn.subnet, subnet6: stay.subnet6 ?? drawn.subnet6 },
          'free',
          0,
        )
  }
}

/** The one subnet that the operator wants here, or who is in the way. SubnetMin and SubnetMax don't bind it. */
export const staticCandidate = (view: AllocationView, wanted: SubnetKey): Candidate | Fault => {
  const wrong = misfit(wanted, view.config)
  if (wrong !== undefined) return Fault.of('subnet-unfit', `--subnet is ${printSubnets(wanted)}: ${wrong}`)
  const listed = listRecords(view)
  const own = ownRecords(listed, view).find(({ key }) => sameKey(key, wanted))
  if (own) return ownCandidate(own)
  const isHeld = view.held !== undefined && sameKey(view.held, wanted)
  const former = isHeld ? formerCandidate(wanted, listed, view.config) : undefined
  if (former) return former
  const holder = listed.find(
    ({ key, record }) => overlap(key, wanted) && !(record !== undefined && isOwn(record, view.me)),
  )
  if (!holder) return candidate(wanted, 'static', 0)
  return Fault.of('lease-conflict', `--subnet is ${printSubnets(wanted)}: ${printHold(holder)}`)
}

/**
 * Another host has had a part of this subnet since before. In dual stack etcd guards the pair alone: two hosts that
 * look at the same time may claim one IPv4 subnet with two IPv6 ones, and the later has to give way.
 */
export const isTaken = (
  records: readonly StoredRecord[],
  me: OwnIdentity,
  { key, created }: { readonly key: SubnetKey; readonly created: Created },
): boolean => {
  const listed = records.flatMap(list)
  return withoutOwn(listed, ownAmong(listed, me)).some((other) => isBefore(other, key, created))
}

/** Flannel lets two hosts with one address share a lease without a word; we say who they are. */
export const sharedAddressFault = (records: readonly StoredRecord[], me: OwnIdentity): Fault | undefined => {
  for (const { stored, record } of records.filter(mentions(me)).flatMap(list)) {
    if (record?.node === undefined || record.node === me.node || isUnused({ stored, record })) continue
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

const ownCandidate = ({ key, stored }: Listed): Candidate =>
  candidate(key, stored.leaseId === '0' ? 'reservation' : 'own', stored.modRevision)

/** Ours once, if nobody else has it now. Where somebody has overwritten our record with garbage it still is. */
const formerCandidate = (
  former: SubnetKey | undefined,
  listed: readonly Listed[],
  config: NetworkConfig,
): Candidate | undefined => {
  if (!former || !fits(former, config)) return undefined
  const keyText = printSubnetKey(former)
  const spoiled = listed.find((other) => other.stored.key === keyText && !other.record)
  if (listed.some((other) => other !== spoiled && overlap(other.key, former))) return undefined
  return candidate(former, 'previous', spoiled?.stored.modRevision ?? 0)
}

/** Ours by node id before ours by address, then the newest, as peers see it. */
const ownRecords = (listed: readonly Listed[], { config, me }: AllocationView): readonly OwnListed[] => {
  const mine = ownAmong(listed, me)
  const others = withoutOwn(listed, mine)
  return mine
    .filter((own) => fits(own.key, config) && !others.some((other) => isBefore(other, own.key, own.stored)))
    .toSorted((a, b) => rank(b) - rank(a) || b.stored.modRevision - a.stored.modRevision)
}
const rank = ({ record }: OwnListed): number => (record.node === undefined ? 0 : 1)
const withoutOwn = (listed: readonly Listed[], mine: readonly OwnListed[]): readonly Listed[] => {
  const keys = new Set(mine.map(({ stored }) => stored.key))
  return listed.filter(({ stored }) => !keys.has(stored.key))
}
const isBefore = (other: Listed, key: SubnetKey, { createRevision }: Created): boolean =>
  other.stored.createRevision < createRevision && overlap(other.key, key)
type Created = Pick<StoredRecord, 'createRevision'>

const sameKey = (a: SubnetKey, b: SubnetKey): boolean => printSubnetKey(a) === printSubnetKey(b)

const mayBeNew = ({ subnet, subnet6 }: SubnetKey, { ipv4, ipv6 }: NetworkConfig): boolean =>
  isAllocatable(subnet, ipv4) && isAllocatable(subnet6, ipv6)
const isAllocatable = <C extends Cidr>(subnet: C | undefined, range: SubnetRange<C> | undefined): boolean =>
  !range ||
  !subnet ||
  (subnet.address >= range.subnetMin.address && subnet.address <= range.subnetMax.address)
