import { type Family, Ip, isIpv4 } from '../net/ip.ts'
import { isUnused, type Listed, listRecords, overlap, printHold } from './listed-records.ts'
import type { NetworkConfig } from './network-config.ts'
import { encodeRecord, type LeaseRecord, type StoredRecord, type SubnetKey } from './record.ts'
import { misfit } from './subnet-fit.ts'
import { printSubnetKey, printSubnets } from './subnet-key.ts'

/** The host that a subnet is kept for: by its public address, or by the `Node` of its record. */
export type ReservedFor = { readonly address: Ip } | { readonly node: string }

/** A value to put under a key, if that still has its revision; 0 means that it must not exist. */
export interface RecordWrite {
  readonly key: string
  readonly value: string
  readonly modRevision: number
}

/** Why not, in words for the operator. */
interface Refusal {
  readonly kind: 'refused'
  readonly why: string
}

export type ReservationPlan =
  | Refusal
  | {
      readonly kind: 'planned'
      /** Undefined where the subnet is reserved for that host already. */
      readonly write: RecordWrite | undefined
      readonly record: LeaseRecord
      /** What the operator should know about the host: it does not move by itself. */
      readonly notes: readonly string[]
    }

/** Where the host uses its reservation, the record gets a lease in place of its end. */
export type ReleasePlan =
  | Refusal
  | {
      readonly kind: 'delete'
      readonly key: string
      readonly modRevision: number
      readonly record: LeaseRecord
    }
  | { readonly kind: 'lease'; readonly write: RecordWrite; readonly record: LeaseRecord }

/** A record without a lease, for a list. */
export interface Reservation {
  readonly subnets: SubnetKey
  /** Undefined where its value is garbage. */
  readonly record: LeaseRecord | undefined
  /** The host has taken it; otherwise it waits for its host. */
  readonly isUsed: boolean
}

interface View {
  readonly records: readonly StoredRecord[]
  readonly config: NetworkConfig
}

/** The value of a reservation: who may have the subnet, and nobody behind it (flannel's form). */
export const reservationFor = ({
  publicIp,
  publicIp6,
}: Pick<LeaseRecord, 'publicIp' | 'publicIp6'>): LeaseRecord => ({
  publicIp,
  publicIp6,
  backendType: '',
  vni: undefined,
  vtepMac: undefined,
  vtepMac6: undefined,
  node: undefined,
  leaving: false,
})

/**
 * How to keep a subnet for a host. A record that this host has there keeps its value, byte for byte, and only loses
 * its lease: for its peers nothing happens. A record of anybody else stands.
 */
export const planReservation = (view: View, subnets: SubnetKey, host: ReservedFor): ReservationPlan => {
  const wrong = misfit(subnets, view.config)
  if (wrong !== undefined) return refused(`${printSubnets(subnets)} can't be reserved: ${wrong}`)
  const listed = listRecords(view)
  const family = view.config.ipv4 ? 4 : 6
  const reservation = reservationOf(host, listed, family)
  if (!reservation) return refused(unknownHost(host, family))
  const key = printSubnetKey(subnets)
  const standing = listed.find(({ stored }) => stored.key === key)
  const isTheirs = standing !== undefined && isOf(standing, host)
  const holder = listed.find((other) => overlap(other.key, subnets) && !(other === standing && isTheirs))
  if (holder) return refused(printHold(holder))
  if (standing?.record?.leaving) return refused(`${printHold(standing)}, which leaves just now: try again`)
  const notes = notesOn(
    listed.filter((other) => isOf(other, host)),
    standing,
  )
  if (!standing?.record) {
    const write = { key, value: encodeRecord(reservation), modRevision: 0 }
    return { kind: 'planned', write, record: reservation, notes }
  }
  const { value, modRevision, leaseId } = standing.stored
  const write = leaseId === '0' ? undefined : { key, value, modRevision }
  return { kind: 'planned', write, record: standing.record, notes }
}

/** Only what nobody uses is deleted: peers of flannel would lose the way to a host that runs. */
export const planRelease = (view: View, subnets: SubnetKey): ReleasePlan => {
  const key = printSubnetKey(subnets)
  const standing = listRecords(view).find(({ stored }) => stored.key === key)
  if (!standing) return refused(`${printSubnets(subnets)} is not reserved`)
  const { stored, record } = standing
  if (!record) return refused(printHold(standing))
  const { value, modRevision, leaseId } = stored
  if (leaseId !== '0')
    return refused(`${printHold(standing)} and not reserved: tweed leave on that host gives it back`)
  if (isUnused(standing)) return { kind: 'delete', key, modRevision, record }
  return { kind: 'lease', write: { key, value, modRevision }, record }
}

export const reservationsIn = (view: View): readonly Reservation[] =>
  listRecords(view)
    .filter(({ stored }) => stored.leaseId === '0')
    .map((listed) => ({
      subnets: listed.key,
      record: listed.record,
      isUsed: listed.record !== undefined && !isUnused(listed),
    }))

const refused = (why: string): Refusal => ({ kind: 'refused', why })

const isOf = ({ record }: Listed, host: ReservedFor): boolean => {
  if (!record) return false
  if ('node' in host) return record.node === host.node
  return isIpv4(host.address) ? record.publicIp === host.address : record.publicIp6 === host.address
}

/**
 * flannel reads no record without PublicIP, so a host that is named otherwise has to be known by a record. A network of
 * IPv6 alone, where flannel is not, names its hosts by their IPv6 address.
 */
const reservationOf = (
  host: ReservedFor,
  listed: readonly Listed[],
  family: Family,
): LeaseRecord | undefined => {
  if ('address' in host && Ip.family(host.address) === family)
    return reservationFor(
      isIpv4(host.address)
        ? { publicIp: host.address, publicIp6: undefined }
        : { publicIp: undefined, publicIp6: host.address },
    )
  const known = listed
    .filter((other) => isOf(other, host))
    .reduce<Listed | undefined>(
      (a, b) => (a && a.stored.modRevision > b.stored.modRevision ? a : b),
      undefined,
    )
  return known?.record && { ...reservationFor(known.record), node: known.record.node }
}

const unknownHost = (host: ReservedFor, family: Family): string =>
  `no record names ${'node' in host ? `the host ${host.node}` : 'this address'}: ` +
  `give the IPv${String(family)} address that the host publishes instead`

const notesOn = (theirs: readonly Listed[], standing: Listed | undefined): readonly string[] => [
  ...theirs
    .filter((other) => other !== standing)
    .map((other) =>
      isUnused(other)
        ? `${printHold(other)} too; a host without a subnet takes the reservation that was written last`
        : `${printHold(other)}, which keeps it until it leaves or is started with --subnet`,
    ),
  ...(standing?.record && standing.record.node === undefined && standing.stored.leaseId !== '0'
    ? ['flannel, which wrote the record, puts it under a lease again when it renews']
    : []),
]
