import type { Cidr } from '../net/cidr.ts'
import { Ip } from '../net/ip.ts'
import type { NftChain, NftObject, NftStatement, NftTable } from './nftables.ts'

/** What this host wants of the packet filter. */
export interface FilterSpec {
  /** Packets that leave the overlay get the address of the host. */
  readonly masquerade: boolean
  /** Source ports are chosen at random, not as they come: two hosts of one cluster rarely choose the same. */
  readonly fullyRandom: boolean
  /** Forward chains of others that would drop packets of the overlay get rules that accept them. */
  readonly acceptForwarded: boolean
  readonly families: readonly FilteredFamily[]
}

export interface FilteredFamily {
  /** The whole overlay. */
  readonly network: Cidr
  /** The part of it that this host holds. */
  readonly subnet: Cidr
  /** The device that packets of peers come through; undefined where there is no tunnel. */
  readonly device: string | undefined
}

/** Everything in this table is ours, and nothing outside of it but rules with our comment. */
export const ownTable: NftTable = { family: 'inet', name: 'tweed' }

const chain: NftChain = {
  ...{ family: ownTable.family, table: ownTable.name, name: 'postrouting' },
  ...{ type: 'nat', hook: 'postrouting', prio: 100, policy: 'accept' }, // 100 is srcnat (nf_ip_priorities)
}

/** Set by kube-proxy on packets that it masquerades itself (flannel #1702). */
const kubeMark = 0x4000

/** Our table as it should be: flannel's rules, for each family, in its order. */
export const masqueradeTable = ({ families, fullyRandom }: FilterSpec): readonly NftObject[] => {
  const masquerade = { masquerade: fullyRandom ? { flags: ['fully-random'] } : null }
  const rule = (...expr: readonly NftStatement[]): NftObject => ({
    rule: { family: ownTable.family, table: ownTable.name, chain: chain.name, expr },
  })
  return [
    { table: ownTable },
    { chain },
    rule(match('==', { '&': [{ meta: { key: 'mark' } }, kubeMark] }, kubeMark), { return: null }),
    ...families.flatMap(({ network, subnet }) => [
      // Inside the overlay everybody is seen with his own address.
      rule(address('saddr', '==', network), address('daddr', '==', network), { return: null }),
      // Whoever comes in from outside keeps his address: the answer leaves through this host anyway.
      rule(address('saddr', '!=', network), address('daddr', '==', subnet), { return: null }),
      rule(address('saddr', '==', network), address('daddr', '!=', multicast(network)), masquerade),
      // And gets ours on the way to a container of another host, or the answer would leave through that host.
      rule(address('saddr', '!=', network), address('daddr', '==', network), masquerade),
    ]),
  ]
}

/** The rules that a forward chain needs to let the overlay pass: flannel's, both directions. */
export const acceptStatements = (network: Cidr): readonly (readonly NftStatement[])[] =>
  (['saddr', 'daddr'] as const).map((field) => [
    address(field, '==', network),
    { counter: { packets: 0, bytes: 0 } }, // as rules of iptables have it
    { accept: null },
  ])

/** RFC 5771 and RFC 4291 §2.7. */
const multicast = ({ family }: Cidr): NftPrefix =>
  family === 4 ? { addr: '224.0.0.0', len: 4 } : { addr: 'ff00::', len: 8 }

interface NftPrefix {
  readonly addr: string
  readonly len: number
}

const match = (op: '==' | '!=', left: unknown, right: unknown): NftStatement => ({
  match: { op, left, right },
})

function address(field: 'saddr' | 'daddr', op: '==' | '!=', to: Cidr | NftPrefix): NftStatement {
  const prefix = 'addr' in to ? to : { addr: Ip.print(to.address), len: to.length }
  const protocol = prefix.addr.includes(':') ? 'ip6' : 'ip'
  return match(op, { payload: { protocol, field } }, { prefix })
}
