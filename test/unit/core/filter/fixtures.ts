import type { FilterSpec } from '../../../../src/core/filter/masquerade.ts'
import type { NftChain, NftObject, NftStatement } from '../../../../src/core/filter/nftables.ts'
import { cidr4, cidr6 } from '../overlay/fixtures.ts'

export const ipv4 = { network: cidr4('10.5.0.0/16'), subnet: cidr4('10.5.9.0/24'), device: 'tweed.1' }
export const ipv6 = {
  network: cidr6('fd00:5::/48'),
  subnet: cidr6('fd00:5:0:9::/64'),
  device: 'tweed-v6.1',
}

export const spec = (more: Partial<FilterSpec> = {}): FilterSpec => ({
  masquerade: true,
  fullyRandom: true,
  acceptForwarded: false,
  families: [ipv4],
  ...more,
})

/** As docker and `iptables -P FORWARD DROP` leave it. */
export const forwardChain = (more: Partial<NftChain> = {}): NftChain => ({
  ...{ family: 'ip', table: 'filter', name: 'FORWARD', handle: 1 },
  ...{ type: 'filter', hook: 'forward', prio: 0, policy: 'drop' },
  ...more,
})

export const prefix = (field: 'saddr' | 'daddr', text: string, op = '=='): NftStatement => {
  const [addr, len] = text.split('/')
  return { match: { op, left: { payload: { protocol: 'ip', field } }, right: { prefix: { addr, len: Number(len) } } } } // prettier-ignore
}
export const device = (key: 'iifname' | 'oifname', right: unknown, op = '=='): NftStatement => ({
  match: { op, left: { meta: { key } }, right },
})
export const state = (...states: readonly string[]): NftStatement => ({
  match: { op: 'in', left: { ct: { key: 'state' } }, right: states },
})
export const counter: NftStatement = { counter: { packets: 7, bytes: 588 } }
export const accept: NftStatement = { accept: null }
export const drop: NftStatement = { drop: null }
export const jump = (target: string): NftStatement => ({ jump: { target } })

let handle = 10
/** A rule of the filter table, of FORWARD or another chain. */
export const rule = (expr: readonly NftStatement[], chain = 'FORWARD', comment?: string): NftObject => ({
  rule: {
    ...{ family: 'ip', table: 'filter', chain, handle: handle++, expr },
    ...(comment !== undefined && { comment }),
  },
})
