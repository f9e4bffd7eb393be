import { Cidr } from '../net/cidr.ts'
import type { Backend, NetworkConfig, SubnetRange } from './network-config.ts'
import type { SubnetKey } from './record.ts'

/** What a changed `<prefix>/config` means for a host that is running. */
export type ConfigChange =
  | { readonly kind: 'same' }
  /** Own subnet, identity and every peer stay as they are. */
  | { readonly kind: 'adopt' }
  /** Containers would lose packets or their addresses: it waits for the operator's word; `fields` says what changed. */
  | { readonly kind: 'renumber'; readonly fields: readonly string[] }

/** What happens with such a change. `hold`: announce it and wait for the order. `renumber`: do it at once. */
export type OnConfigChange = 'hold' | 'renumber'

/**
 * Pure judgement. A range that still contains the own subnet can change under running containers, and so can what the
 * kernel changes on a device that stands: MTU, learning, and whether a route is direct.
 */
export const judgeConfigChange = (
  from: NetworkConfig,
  to: NetworkConfig,
  lease: SubnetKey | undefined,
): ConfigChange => {
  if (JSON.stringify(from, bigintAsText) === JSON.stringify(to, bigintAsText)) return { kind: 'same' }
  if (!lease) return { kind: 'adopt' }
  const fields = [...rangeFields(from, to, lease), ...backendFields(from.backend, to.backend)]
  return fields.length === 0 ? { kind: 'adopt' } : { kind: 'renumber', fields }
}

function rangeFields(from: NetworkConfig, to: NetworkConfig, lease: SubnetKey): string[] {
  const fields: string[] = []
  if ((from.ipv4 === undefined) !== (to.ipv4 === undefined)) fields.push('EnableIPv4')
  if ((from.ipv6 === undefined) !== (to.ipv6 === undefined)) fields.push('EnableIPv6')
  return [
    ...fields,
    ...familyFields('', lease.subnet, to.ipv4),
    ...familyFields('IPv6', lease.subnet6, to.ipv6),
  ]
}

function familyFields<C extends Cidr>(
  prefix: '' | 'IPv6',
  held: C | undefined,
  to: SubnetRange<C> | undefined,
): string[] {
  if (!held || !to) return []
  const fields: string[] = []
  if (!Cidr.containsCidr(to.network, held)) fields.push(`${prefix}Network`)
  if (to.subnetLength !== held.length) fields.push(`${prefix}SubnetLen`)
  return fields
}

function backendFields(from: Backend, to: Backend): string[] {
  if (from.kind !== to.kind) return ['Backend.Type']
  if (from.kind !== 'vxlan' || to.kind !== 'vxlan') return []
  const changed = (field: string, differs: boolean): string[] => (differs ? [field] : [])
  // vxlan_core.c: vxlan_changelink refuses these three, so they mean another device.
  return [
    ...changed('Backend.VNI', from.vni !== to.vni),
    ...changed('Backend.Port', from.port !== to.port),
    ...changed('Backend.GBP', from.gbp !== to.gbp),
  ]
}

const bigintAsText = (_: string, value: unknown): unknown =>
  typeof value === 'bigint' ? value.toString() : value
