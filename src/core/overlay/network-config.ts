import type { Cidr4, Cidr6 } from '../net/cidr.ts'
import { Port, Vni } from '../net/vni.ts'
import { invalid, type Parsed, valid } from '../parsed.ts'
import { configLimits, isObject, type JsonObject, member, parseJsonObject, plain } from './json.ts'
import { parseRange, printRange } from './subnet-range.ts'
import { type FieldReader, readFields } from './fields.ts'

/** The overlay as `<prefix>/config` describes it, with every default filled in. */
export interface NetworkConfig {
  readonly ipv4: SubnetRange<Cidr4> | undefined
  readonly ipv6: SubnetRange<Cidr6> | undefined
  readonly backend: Backend
}

/** Where the hosts' subnets of one family come from. */
export interface SubnetRange<C> {
  readonly network: C
  /** Prefix length of each host's subnet. */
  readonly subnetLength: number
  /** First subnet that may be leased. */
  readonly subnetMin: C
  /** Last subnet that may be leased. */
  readonly subnetMax: C
}

export type Backend = VxlanBackend | { readonly kind: 'host-gw' }

export interface VxlanBackend {
  readonly kind: 'vxlan'
  readonly vni: Vni
  readonly port: Port
  /** As configured, in place of the underlay's MTU: flannel subtracts the VXLAN overhead from either. */
  readonly mtuBytes: number | undefined
  readonly gbp: boolean
  readonly learning: boolean
  readonly directRouting: boolean
}

/** Reads `<prefix>/config`: flannel's fields, defaults and rules, and the checks that flannel forgets. */
export const parseNetworkConfig = (text: string): Parsed<NetworkConfig> => {
  const json = parseJsonObject(text, 'config', configLimits)
  if (json.kind === 'invalid') return json
  const fields = readFields(json.value, '')
  const hasIpv4 = fields.flag('EnableIPv4', true)
  const hasIpv6 = fields.flag('EnableIPv6', false)
  if (fields.complaint) return fields.complaint
  if (!hasIpv4 && !hasIpv6) return invalid('EnableIPv4', false, 'must be true unless EnableIPv6 is true')

  const ipv4 = hasIpv4 ? parseRange(4, fields) : undefined
  if (ipv4?.kind === 'invalid') return ipv4
  const ipv6 = hasIpv6 ? parseRange(6, fields) : undefined
  if (ipv6?.kind === 'invalid') return ipv6
  const backend = parseBackend(json.value)
  if (backend.kind === 'invalid') return backend
  return valid({ ipv4: ipv4?.value, ipv6: ipv6?.value, backend: backend.value })
}

/** In flannel's fields, every default spelled out; {@link parseNetworkConfig} reads the same back. */
export const printNetworkConfig = ({ ipv4, ipv6, backend }: NetworkConfig): Record<string, unknown> => ({
  EnableIPv4: ipv4 !== undefined,
  EnableIPv6: ipv6 !== undefined,
  ...(ipv4 && printRange(4, ipv4)),
  ...(ipv6 && printRange(6, ipv6)),
  Backend:
    backend.kind === 'host-gw'
      ? { Type: 'host-gw' }
      : {
          Type: 'vxlan',
          VNI: backend.vni,
          Port: backend.port,
          ...(backend.mtuBytes !== undefined && { MTU: backend.mtuBytes }),
          GBP: backend.gbp,
          Learning: backend.learning,
          DirectRouting: backend.directRouting,
        },
})

const supported = 'supported are "vxlan" and "host-gw"'

const parseBackend = (config: JsonObject): Parsed<Backend> => {
  const json = member(config, 'Backend')
  if (json === undefined || json === null)
    return invalid('Backend', undefined, 'flannel then takes udp; set Backend.Type to "vxlan"')
  if (!isObject(json)) return invalid('Backend', plain(json), 'must be an object like {"Type":"vxlan"}')
  const fields = readFields(json, 'Backend.')
  const type = fields.text('Type')
  if (fields.complaint) return fields.complaint
  switch (type?.toLowerCase()) {
    case undefined:
      return invalid('Backend.Type', undefined, `set it to "vxlan"; ${supported}`)
    case 'vxlan':
      return parseVxlan(fields)
    case 'host-gw':
      return valid({ kind: 'host-gw' })
    default:
      return invalid('Backend.Type', type, supported)
  }
}

const parseVxlan = (fields: FieldReader): Parsed<Backend> => {
  const vni = fields.whole('VNI', { from: 1, to: 0xff_ffff })
  const port = fields.whole('Port', { from: 1, to: 0xffff, zeroIsAbsent: true })
  // That of the underlay: 68, the least of IPv4 (RFC 791), + 50 of the tunnel. 65535 is the kernel's largest.
  const mtuBytes = fields.whole('MTU', { from: 118, to: 0xffff, zeroIsAbsent: true })
  const gbp = fields.flag('GBP', false)
  const learning = fields.flag('Learning', false)
  const directRouting = fields.flag('DirectRouting', false)
  if (fields.complaint) return fields.complaint
  return valid({
    kind: 'vxlan',
    vni: Vni.of(vni ?? Vni.flannel) ?? Vni.flannel,
    port: Port.of(port ?? Port.linuxVxlan) ?? Port.linuxVxlan,
    mtuBytes,
    gbp,
    learning,
    directRouting,
  })
}
