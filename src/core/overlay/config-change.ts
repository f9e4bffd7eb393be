import { Cidr } from '../net/cidr.ts'
import type { Backend, NetworkConfig } from './network-config.ts'
import type { OwnLease } from './own.ts'

/** What a changed `<prefix>/config` means for a host that is running. */
export type ConfigChange =
  | { readonly kind: 'same' }
  /** Own subnet, identity and every peer stay as they are. */
  | { readonly kind: 'adopt' }
  /** The data plane would have to stop: the old configuration stays in force; `fields` says what changed. */
  | { readonly kind: 'refuse'; readonly fields: readonly string[] }

/** Pure judgement; a range that still contains the own subnet, and the MTU, can change under running containers. */
export const judgeConfigChange = (
  from: NetworkConfig,
  to: NetworkConfig,
  lease: Pick<OwnLease, 'subnet'> | undefined,
): ConfigChange => {
  if (JSON.stringify(from, bigintAsText) === JSON.stringify(to, bigintAsText)) return { kind: 'same' }
  if (!lease) return { kind: 'adopt' }
  const fields = [...rangeFields(from, to, lease), ...backendFields(from.backend, to.backend)]
  return fields.length === 0 ? { kind: 'adopt' } : { kind: 'refuse', fields }
}

function rangeFields(from: NetworkConfig, to: NetworkConfig, lease: Pick<OwnLease, 'subnet'>): string[] {
  if (!to.ipv4) return ['EnableIPv4']
  const fields: string[] = []
  if (lease.subnet && !Cidr.containsCidr(to.ipv4.network, lease.subnet)) fields.push('Network')
  if (lease.subnet && to.ipv4.subnetLength !== lease.subnet.length) fields.push('SubnetLen')
  if ((from.ipv6 === undefined) !== (to.ipv6 === undefined)) fields.push('EnableIPv6')
  return fields
}

function backendFields(from: Backend, to: Backend): string[] {
  if (from.kind !== to.kind) return ['Backend.Type']
  if (from.kind !== 'vxlan' || to.kind !== 'vxlan') return []
  const changed = (field: string, differs: boolean): string[] => (differs ? [field] : [])
  return [
    ...changed('Backend.VNI', from.vni !== to.vni),
    ...changed('Backend.Port', from.port !== to.port),
    ...changed('Backend.GBP', from.gbp !== to.gbp),
    ...changed('Backend.Learning', from.learning !== to.learning),
  ]
}

const bigintAsText = (_: string, value: unknown): unknown =>
  typeof value === 'bigint' ? value.toString() : value
