import { Ipv4 } from '../net/ipv4.ts'
import { Ipv6 } from '../net/ipv6.ts'
import type { Cidr4, Cidr6 } from '../net/cidr.ts'
import { Mac } from '../net/mac.ts'
import { invalid, type Parsed, valid } from '../parsed.ts'
import { isObject, type Json, type JsonObject, member, parseJsonObject, plain, recordLimits } from './json.ts'

/** A key and value below `<prefix>/subnets/`, as etcd holds them. */
export interface StoredRecord {
  /** The key without `<prefix>/subnets/`: `10.5.52.0-24`. */
  readonly key: string
  readonly value: string
  /** Revision at which the key was created; the age that decides who came first. */
  readonly createRevision: number
  readonly modRevision: number
  /** The etcd lease that it hangs on, decimal; `'0'` is none: a reservation. */
  readonly leaseId: string
}

export type RecordEvent =
  /** The whole truth at one revision. An `audit` is one that nothing called for: it should bring no news. */
  | { readonly kind: 'snapshot'; readonly records: readonly StoredRecord[]; readonly audit?: boolean }
  /** In etcd's order. */
  | { readonly kind: 'changes'; readonly changes: readonly RecordChange[] }

export type RecordChange =
  { readonly kind: 'put'; readonly record: StoredRecord } | { readonly kind: 'delete'; readonly key: string }

/** The decoded key: one subnet for each family of the network. */
export interface SubnetKey {
  readonly subnet: Cidr4 | undefined
  readonly subnet6: Cidr6 | undefined
}

/** The decoded value: flannel's LeaseAttrs with the fields of ours that flannel ignores. */
export interface LeaseRecord {
  /** Flannel always has one; a host of an IPv6-only overlay may have none. */
  readonly publicIp: Ipv4 | undefined
  readonly publicIp6: Ipv6 | undefined
  /** Compared exactly, as flannel does: `vxlan`, `host-gw`, … or `''`. */
  readonly backendType: string
  readonly vni: number | undefined
  readonly vtepMac: Mac | undefined
  /** MAC of the separate IPv6 device. */
  readonly vtepMac6: Mac | undefined
  /** Stable identity of the host, ours; without it the public address is the identity. */
  readonly node: string | undefined
  /** The host has announced that it leaves. */
  readonly leaving: boolean
}

/** Reads a value; what flannel leaves out may be missing. Says nothing about whether the addresses make sense. */
export const decodeRecord = (value: string): Parsed<LeaseRecord> => {
  const json = parseJsonObject(value, 'value', recordLimits)
  if (json.kind === 'invalid') return json
  const object = json.value
  const fail = (field: string, rule: string): Parsed<never> => {
    const found = member(object, field)
    return invalid(field, found === undefined ? undefined : plain(found), rule)
  }

  const publicIp6 = optional(member(object, 'PublicIPv6'), (ip) => Ipv6.parse(text(ip)))
  if (publicIp6 === 'bad') return fail('PublicIPv6', 'must be an IPv6 address or null')
  const publicIp = optional(member(object, 'PublicIP'), (ip) => Ipv4.parse(text(ip)))
  if (publicIp === 'bad' || (!publicIp && !publicIp6)) return fail('PublicIP', 'must be an IPv4 address')
  const backendType = optional(member(object, 'BackendType'), string)
  if (backendType === 'bad') return fail('BackendType', 'must be a string')
  const node = optional(member(object, 'Node'), nodeId)
  if (node === 'bad') return fail('Node', 'must be 1 to 128 printable ASCII characters without spaces')
  const leaving = optional(member(object, 'Leaving'), boolean)
  if (leaving === 'bad') return fail('Leaving', 'must be true or false')

  // Another backend's data has a shape of its own, and is none of our business.
  const isVxlan = backendType?.value === 'vxlan'
  const vtep = isVxlan ? vtepData(member(object, 'BackendData')) : noVtep
  if (vtep === 'bad') return fail('BackendData', 'must be like {"VNI":1,"VtepMAC":"02:00:00:00:00:01"}')
  const vtep6 = isVxlan ? vtepData(member(object, 'BackendV6Data')) : noVtep
  if (vtep6 === 'bad') return fail('BackendV6Data', 'must be like {"VNI":1,"VtepMAC":"02:00:00:00:00:01"}')

  return valid({
    publicIp: publicIp?.value,
    publicIp6: publicIp6?.value,
    backendType: backendType?.value ?? '',
    vni: vtep.vni ?? vtep6.vni,
    vtepMac: vtep.mac,
    vtepMac6: vtep6.mac,
    node: node?.value,
    leaving: leaving?.value ?? false,
  })
}

/** The value as flannel writes it, byte for byte, with our fields behind flannel's. */
export const encodeRecord = (record: LeaseRecord): string => {
  const vtep = (mac: Mac | undefined): object | undefined =>
    mac === undefined ? undefined : { VNI: record.vni, VtepMAC: Mac.print(mac) }
  return JSON.stringify({
    PublicIP: record.publicIp === undefined ? null : Ipv4.print(record.publicIp),
    PublicIPv6: record.publicIp6 === undefined ? null : Ipv6.print(record.publicIp6),
    BackendType: record.backendType === '' ? undefined : record.backendType,
    BackendData: vtep(record.vtepMac),
    BackendV6Data: vtep(record.vtepMac6),
    Node: record.node,
    Leaving: record.leaving ? true : undefined,
  })
}

interface VtepData {
  readonly vni: number | undefined
  readonly mac: Mac | undefined
}
const noVtep: VtepData = { vni: undefined, mac: undefined }

/** A missing or unreadable MAC is left to the validator, which has a name for it. */
const vtepData = (json: Json | undefined): VtepData | 'bad' => {
  if (json === undefined || json === null) return noVtep
  if (!isObject(json)) return 'bad'
  const vni = optional(member(json, 'VNI'), uint32)
  return vni === 'bad' ? 'bad' : { vni: vni?.value, mac: macOf(json) }
}
const macOf = (json: JsonObject): Mac | undefined => Mac.parse(text(member(json, 'VtepMAC')))

/** Absent and null are alike, as for Go; a value has to pass. */
const optional = <T>(
  json: Json | undefined,
  read: (json: Json) => T | undefined,
): { readonly value: T } | undefined | 'bad' => {
  if (json === undefined || json === null) return undefined
  const value = read(json)
  return value === undefined ? 'bad' : { value }
}

const text = (json: Json | undefined): string => (typeof json === 'string' ? json : '')
const string = (json: Json): string | undefined => (typeof json === 'string' ? json : undefined)
const boolean = (json: Json): boolean | undefined => (typeof json === 'boolean' ? json : undefined)
const uint32 = (json: Json): number | undefined =>
  typeof json === 'number' && Number.isInteger(json) && json >= 0 && json < 2 ** 32 ? json : undefined
// It is printed on terminals and into logs: nothing that could steer either.
const nodeId = (json: Json): string | undefined =>
  typeof json === 'string' && /^[\x21-\x7e]{1,128}$/.test(json) ? json : undefined

/** The host that a record names, if it is one of ours and readable. */
export const nodeOf = (value: string): string | undefined => {
  const record = decodeRecord(value)
  return record.kind === 'valid' ? record.value.node : undefined
}
