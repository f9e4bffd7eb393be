import { Cidr } from '../net/cidr.ts'
import { Ip } from '../net/ip.ts'
import { Ipv4 } from '../net/ipv4.ts'
import { isOwn } from './admission.ts'
import type { NetworkConfig } from './network-config.ts'
import type { OwnIdentity } from './own.ts'
import { decodeRecord, type LeaseRecord, type StoredRecord, type SubnetKey } from './record.ts'
import { parseSubnetKey, printSubnets } from './subnet-key.ts'

/** A record that takes a subnet, whatever its value. */
export interface Listed {
  readonly stored: StoredRecord
  readonly key: SubnetKey
  /** Decoded when it is asked for; undefined where the value is garbage. */
  readonly record: LeaseRecord | undefined
}

/** One of this host. */
export interface OwnListed extends Listed {
  readonly record: LeaseRecord
}

/** Every record that takes a subnet of this network. */
export const listRecords = ({
  records,
  config,
}: {
  readonly records: readonly StoredRecord[]
  readonly config: NetworkConfig
}): readonly Listed[] => records.flatMap(list).filter(({ key }) => isSomeonesSubnet(key, config))

/** Those of this host, by its id, or by its address where flannel or an operator wrote them. */
export const ownAmong = (listed: readonly Listed[], me: OwnIdentity): readonly OwnListed[] => {
  const mayBeOurs = mentions(me)
  return listed.flatMap(({ stored, key }) => {
    const record = mayBeOurs(stored) ? recordOf(stored) : undefined
    return record && isOwn(record, me) ? [{ stored, key, record }] : []
  })
}

/**
 * Spares the decoding of ten thousand values of which none is this host's: a node id and a dotted quad have one
 * spelling each, unless JSON's escapes hide them. An IPv6 address has many.
 */
export const mentions = ({ node, ipv4, ipv6 }: OwnIdentity): ((stored: StoredRecord) => boolean) => {
  if (ipv6) return () => true
  const names = [node, ...(ipv4 ? [Ipv4.print(ipv4.publicIp)] : []), '\\']
  return ({ value }) => names.some((name) => value.includes(name))
}

/** Kept for a host that has not taken it; what flannel's documentation calls one has the data of a lease in it. */
export const isUnused = ({ stored, record }: Pick<Listed, 'stored' | 'record'>): boolean =>
  stored.leaseId === '0' && record !== undefined && (record.backendType === '' || record.node === undefined)

export const overlap = (a: SubnetKey, b: SubnetKey): boolean =>
  overlapping(a.subnet, b.subnet) || overlapping(a.subnet6, b.subnet6)
const overlapping = (a: Cidr | undefined, b: Cidr | undefined): boolean =>
  a !== undefined && b !== undefined && Cidr.overlaps(a, b)

/** `10.5.7.0/24 is reserved for 192.0.2.7` */
export const printHold = ({ key, stored, record }: Listed): string => {
  const subnets = printSubnets(key)
  if (!record) return `the record of ${subnets} is malformed; if no host uses it, delete it with etcdctl`
  return `${subnets} is ${isUnused({ stored, record }) ? 'reserved for' : 'held by'} ${printHost(record)}`
}

/** Its id, where it has one, and its address. */
const printHost = (record: LeaseRecord): string =>
  record.node === undefined ? printAddress(record) : `${record.node} (${printAddress(record)})`

/** The address that the host publishes. */
export const printAddress = ({ publicIp, publicIp6 }: LeaseRecord): string => {
  const ip = publicIp ?? publicIp6
  return ip === undefined ? '' : Ip.print(ip)
}

/** A key that is none takes no subnet; a value that is none still does. */
export const list = (stored: StoredRecord): readonly Listed[] => {
  const key = parseSubnetKey(stored.key)
  return key
    ? [
        {
          stored,
          key,
          get record() {
            return recordOf(stored)
          },
        },
      ]
    : []
}

const recordOf = ({ value }: StoredRecord): LeaseRecord | undefined => {
  const decoded = decodeRecord(value)
  return decoded.kind === 'valid' ? decoded.value : undefined
}

/**
 * A host's subnet of this network, of whatever length: none is larger than a quarter of the network (flannel's rule
 * for SubnetLen). One record that claims more, or something else, must not leave everybody without a subnet.
 */
const isSomeonesSubnet = ({ subnet, subnet6 }: SubnetKey, { ipv4, ipv6 }: NetworkConfig): boolean =>
  isPartOf(subnet, ipv4?.network) && isPartOf(subnet6, ipv6?.network)
const isPartOf = (subnet: Cidr | undefined, network: Cidr | undefined): boolean =>
  !network || !subnet || (Cidr.containsCidr(network, subnet) && subnet.length >= network.length + 2)
