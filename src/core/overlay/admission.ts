import { Cidr } from '../net/cidr.ts'
import { Ipv4 } from '../net/ipv4.ts'
import { Ipv6 } from '../net/ipv6.ts'
import { Mac } from '../net/mac.ts'
import { printComplaint } from '../parsed.ts'
import { recordLimits } from './json.ts'
import type { NetworkConfig } from './network-config.ts'
import type { OwnContext, OwnIdentity } from './own.ts'
import type { Peer, Rejection, RejectionCode } from './peer.ts'
import { decodeRecord, type LeaseRecord, type StoredRecord, type SubnetKey } from './record.ts'
import { parseSubnetKey } from './subnet-key.ts'

export type Admission =
  | { readonly kind: 'admitted'; readonly peer: Peer }
  | { readonly kind: 'rejected'; readonly rejection: Rejection }
  /** It is this host's. */
  | { readonly kind: 'own'; readonly record: LeaseRecord }

type Breach = Omit<Rejection, 'key'>

/**
 * Judges one record by itself. Whoever can write to etcd can write anything, so a record is hostile until
 * every field has been looked at; what it must not share with other peers is {@link file://./contention.ts}.
 */
export const admit = (stored: StoredRecord, own: OwnContext): Admission => {
  const reject = ({ code, rule }: Breach): Admission => ({
    kind: 'rejected',
    rejection: { key: stored.key, code, rule },
  })
  const subnets = parseSubnetKey(stored.key)
  if (!subnets) return reject(breach('malformed-key', 'the key must be like 10.5.52.0-24, without host bits'))
  if (stored.value.length > recordLimits.maxLength)
    return reject(breach('oversized', `the value must not be longer than ${recordLimits.maxLength}`))
  const decoded = decodeRecord(stored.value)
  if (decoded.kind === 'invalid') return reject(breach('malformed-value', printComplaint(decoded)))
  const record = decoded.value
  if (isOwn(record, own.identity)) return { kind: 'own', record }
  const broken =
    breachOfBackend(record, own) ??
    breachOfSubnets(subnets, own) ??
    breachOfIdentity(record, own.identity) ??
    breachOfMac(record) ??
    breachOfLegs(record, own) ??
    breachOfAddress(record, own) ??
    breachOfVni(record, own)
  if (broken) return reject(broken)
  return { kind: 'admitted', peer: peerOf(stored, record, ownFamilies(subnets, own), own.config) }
}

/** Ours by the stable id; by the public address where flannel wrote the record or an operator reserved it. */
export const isOwn = (record: LeaseRecord, identity: OwnIdentity): boolean =>
  record.node === undefined ? hasAddressOf(record, identity) : record.node === identity.node

const hasAddressOf = ({ publicIp, publicIp6 }: LeaseRecord, { ipv4, ipv6 }: OwnIdentity): boolean =>
  ipv4 ? publicIp === ipv4.publicIp : publicIp6 !== undefined && publicIp6 === ipv6?.publicIp

const breach = (code: RejectionCode, rule: string): Breach => ({ code, rule })

const breachOfBackend = ({ backendType }: LeaseRecord, { config }: OwnContext): Breach | undefined =>
  backendType === config.backend.kind
    ? undefined
    : breach(
        'other-backend',
        `BackendType is ${JSON.stringify(backendType)}: only ${config.backend.kind} peers are forwarded to`,
      )

const breachOfSubnets = (subnets: SubnetKey, { config, lease }: OwnContext): Breach | undefined => {
  const { subnet, subnet6 } = ownFamilies(subnets, { config })
  if (config.ipv4 ? !subnet : !subnet6)
    return breach('outside-network', `the key must name an IPv${config.ipv4 ? 4 : 6} subnet`)
  for (const [prefix, range, held] of [
    [subnet, config.ipv4, lease?.subnet],
    [subnet6, config.ipv6, lease?.subnet6],
  ] as const) {
    if (!prefix) continue
    const name = Cidr.print(prefix)
    // SubnetMin and SubnetMax bound allocation only: a reservation may lie outside them.
    if (!range || !Cidr.containsCidr(range.network, prefix))
      return breach(
        'outside-network',
        `${name} must be inside ${range ? Cidr.print(range.network) : 'a network'}`,
      )
    if (prefix.length !== range.subnetLength)
      return breach('wrong-length', `${name} must be a /${range.subnetLength}, like every host's subnet`)
    if (held && Cidr.overlaps(held, prefix)) return breach('own-subnet', `${name} is this host's subnet`)
  }
  return undefined
}

const breachOfIdentity = (record: LeaseRecord, identity: OwnIdentity): Breach | undefined => {
  const { publicIp, publicIp6, vtepMac, vtepMac6 } = record
  const { ipv4, ipv6 } = identity
  if (publicIp !== undefined && publicIp === ipv4?.publicIp)
    return breach('own-address', `PublicIP ${Ipv4.print(publicIp)} is this host's address`)
  if (publicIp6 !== undefined && publicIp6 === ipv6?.publicIp)
    return breach('own-address', `PublicIPv6 ${Ipv6.print(publicIp6)} is this host's address`)
  for (const mac of [vtepMac, vtepMac6])
    if (mac !== undefined && (mac === ipv4?.vtepMac || mac === ipv6?.vtepMac))
      return breach('own-mac', `VtepMAC ${Mac.print(mac)} is this host's VTEP`)
  return undefined
}

const breachOfMac = ({ vtepMac, vtepMac6 }: LeaseRecord): Breach | undefined => {
  for (const mac of [vtepMac, vtepMac6])
    if (mac !== undefined && !Mac.isUnicast(mac))
      return breach('bad-mac', `VtepMAC ${Mac.print(mac)} must be the address of one station`)
  return undefined
}

/** What a peer of each of our families needs. A dual-stack network's IPv4-only hosts are IPv4 peers. */
const breachOfLegs = (record: LeaseRecord, { config }: OwnContext): Breach | undefined => {
  const { publicIp, vtepMac, publicIp6, vtepMac6 } = record
  const tunnelled = config.backend.kind === 'vxlan'
  if (config.ipv4 && publicIp === undefined) return breach('bad-public-ip', 'PublicIP is missing')
  if (config.ipv4 && tunnelled && vtepMac === undefined)
    return breach('bad-mac', 'BackendData.VtepMAC is missing or no MAC address')
  if (config.ipv4) return undefined
  if (publicIp6 === undefined) return breach('bad-public-ip', 'PublicIPv6 is missing')
  if (tunnelled && vtepMac6 === undefined)
    return breach('bad-mac', 'BackendV6Data.VtepMAC is missing or no MAC address')
  return undefined
}

/** No host has them: this network, loopback, multicast, reserved and broadcast (RFC 6890, RFC 4291 §2.4). */
const unusable4 = ['0.0.0.0/8', '127.0.0.0/8', '224.0.0.0/4', '240.0.0.0/4']
const unusable6 = ['::/127', 'ff00::/8']
const unusable = [...unusable4, ...unusable6].flatMap((text) => Cidr.parse(text) ?? [])

const breachOfAddress = (
  { publicIp, publicIp6 }: LeaseRecord,
  { config }: OwnContext,
): Breach | undefined => {
  const networks = [config.ipv4?.network, config.ipv6?.network].filter((network) => network !== undefined)
  for (const ip of [publicIp, publicIp6]) {
    if (ip === undefined) continue
    const host = Cidr.of(ip, typeof ip === 'number' ? 32 : 128)
    const bad = [...unusable, ...networks].find((prefix) => Cidr.containsCidr(prefix, host))
    // An underlay address inside the overlay would send the tunnel's own packets into the tunnel.
    if (bad) return breach('bad-public-ip', `${Cidr.print(host)} must not be inside ${Cidr.print(bad)}`)
  }
  return undefined
}

/** Flannel up to 0.1x published no VNI. */
const breachOfVni = ({ vni }: LeaseRecord, { config: { backend } }: OwnContext): Breach | undefined =>
  vni === undefined || backend.kind !== 'vxlan' || vni === backend.vni
    ? undefined
    : breach('other-vni', `BackendData.VNI is ${vni}: must be ${backend.vni}`)

/** A peer that is ahead in the change to dual stack is an IPv4 peer until our configuration says otherwise. */
const ownFamilies = ({ subnet, subnet6 }: SubnetKey, { config }: Pick<OwnContext, 'config'>): SubnetKey => ({
  subnet: config.ipv4 && subnet,
  subnet6: config.ipv6 && subnet6,
})

const peerOf = (
  { key, modRevision }: StoredRecord,
  record: LeaseRecord,
  { subnet, subnet6 }: SubnetKey,
  { backend }: NetworkConfig,
): Peer => {
  const { publicIp, publicIp6, vtepMac, vtepMac6, node, leaving } = record
  const tunnelled = backend.kind === 'vxlan'
  const ipv4 = subnet && publicIp !== undefined ? { subnet, publicIp, vtepMac } : undefined
  const hasIpv6 = subnet6 && publicIp6 !== undefined && (!tunnelled || vtepMac6 !== undefined)
  const ipv6 = hasIpv6 ? { subnet: subnet6, publicIp: publicIp6, vtepMac: vtepMac6 } : undefined
  return { key, ipv4, ipv6, node, leaving, modRevision }
}
