import { Cidr } from '../net/cidr.ts'
import { Ip } from '../net/ip.ts'
import type { FilteredFamily } from './masquerade.ts'
import type { NftChain, NftMatch, NftObject, NftRule, NftStatement } from './nftables.ts'

/** All first packets of one direction of the overlay, as a forward chain sees them. */
interface Flow {
  readonly from: Cidr
  readonly to: Cidr
  /** Where they come from and leave: the tunnel, or the containers' bridge, whose name we don't know. */
  readonly iifname: 'tunnel' | 'bridge'
  readonly oifname: 'tunnel' | 'bridge'
  /** Name of the tunnel's device, if there is one. */
  readonly tunnel: string | undefined
}

/** Chains that the kernel calls for forwarded packets, and that may drop them. */
export const isForwardChain = ({ type, hook, family }: NftChain): boolean =>
  type === 'filter' && hook === 'forward' && ['ip', 'ip6', 'inet'].includes(family)

/**
 * Whether a forward chain would drop packets of the overlay, in either direction, as far as can be told from its
 * rules. A rule counts only if it is about all of them: one that accepts a port or an answer makes no overlay, and
 * one that drops a port breaks none.
 */
export const dropsOverlay = (
  chain: NftChain,
  { network, subnet, device }: FilteredFamily,
  rules: readonly NftRule[],
): boolean => {
  if (chain.family === (network.family === 4 ? 'ip6' : 'ip')) return false
  const flows: readonly Flow[] = [
    { from: network, to: subnet, iifname: 'tunnel', oifname: 'bridge', tunnel: device },
    { from: subnet, to: network, iifname: 'bridge', oifname: 'tunnel', tunnel: device },
  ]
  const inTable = rules.filter(({ family, table }) => family === chain.family && table === chain.table)
  return flows.some((flow) => (walk(chain.name, flow, inTable) ?? chain.policy) === 'drop')
}

export const rulesIn = (listing: readonly NftObject[]): readonly NftRule[] =>
  listing.flatMap(({ rule }) => (rule ? [rule] : []))

type Verdict = 'accept' | 'drop' | undefined

/** How much of a flow a rule is about. `likely`: all of it, if a device that we don't know is the one it names. */
type Fit = 'all' | 'likely' | 'no'

/** The kernel allows 16 jumps (NFT_JUMP_STACK_SIZE). */
const deepest = 16

function walk(name: string, flow: Flow, rules: readonly NftRule[], depth = 0): Verdict {
  if (depth > deepest) return undefined
  for (const { chain, expr } of rules) {
    if (chain !== name) continue
    const { fit, last } = read(expr, flow)
    if (fit === 'no') continue
    const found =
      'jump' in last || 'goto' in last ? walk(targetOf(last), flow, rules, depth + 1) : endOf(last)
    if (found === 'accept' || (found === 'drop' && fit === 'all')) return found
    if (('return' in last || 'goto' in last) && fit === 'all') return undefined
  }
  return undefined
}

const endOf = (last: NftStatement): Verdict =>
  'accept' in last ? 'accept' : 'drop' in last || 'reject' in last ? 'drop' : undefined

const targetOf = ({ jump, goto }: NftStatement): string =>
  ((jump ?? goto) as { readonly target?: string } | undefined)?.target ?? ''

const verdicts = ['accept', 'drop', 'reject', 'return', 'jump', 'goto']

/** What a rule is about, and the verdict at its end. */
function read(expr: readonly NftStatement[], flow: Flow): { readonly fit: Fit; readonly last: NftStatement } {
  let fit: Fit = 'all'
  for (const statement of expr) {
    if (verdicts.some((verdict) => verdict in statement)) return { fit, last: statement }
    const part = fitOf(statement, flow)
    if (part === 'no') break
    if (part === 'likely') fit = part
  }
  return { fit: 'no', last: {} }
}

function fitOf(statement: NftStatement, flow: Flow): Fit {
  if ('counter' in statement || 'log' in statement) return 'all'
  // A match of an extension of iptables says here only what it is called.
  if ('xt' in statement)
    return (statement['xt'] as { name?: string } | null)?.name === 'comment' ? 'all' : 'no'
  return 'match' in statement ? fitOfMatch(statement['match'] as NftMatch, flow) : 'no'
}

function fitOfMatch({ op, left, right }: NftMatch, flow: Flow): Fit {
  const { meta, payload, ct } = left as Partial<Record<string, { readonly key?: string; readonly field?: string; readonly protocol?: string }>> // prettier-ignore
  const values = elementsOf(right)
  const yes = (holds: boolean): Fit => (holds ? 'all' : 'no')
  const same = op !== '!='
  if (ct?.key === 'state') return yes(values.includes('new') === same)
  if (meta?.key === 'nfproto') return yes(values.includes(flow.from.family === 4 ? 'ipv4' : 'ipv6') === same)
  if (meta?.key === 'iifname' || meta?.key === 'oifname') {
    const { tunnel } = flow
    if (tunnel === undefined) return 'likely'
    const isTunnel = values.some((name) => isNamed(tunnel, name))
    if (flow[meta.key] === 'tunnel') return yes(isTunnel === same)
    return isTunnel ? yes(!same) : 'likely' // a bridge is no tunnel
  }
  if (payload?.protocol !== (flow.from.family === 4 ? 'ip' : 'ip6')) return 'no'
  const side = payload.field === 'saddr' ? flow.from : payload.field === 'daddr' ? flow.to : undefined
  if (!side) return 'no'
  const ranges = values.map(rangeOf)
  return yes(
    same
      ? ranges.some((range) => range !== undefined && covers(range, side))
      : ranges.every((range) => range !== undefined && isApart(range, side)),
  )
}

const elementsOf = (right: unknown): readonly unknown[] => {
  const set = (right as { readonly set?: unknown } | null)?.set
  return [set ?? right].flat()
}

/** `br*` stands for every name that begins so. */
const isNamed = (device: string, name: unknown): boolean =>
  typeof name === 'string' && (name.endsWith('*') ? device.startsWith(name.slice(0, -1)) : device === name)

interface Range {
  readonly first: Ip
  readonly last: Ip
}

function rangeOf(element: unknown): Range | undefined {
  if (typeof element === 'string') return between(element, element)
  const { prefix, range } = element as {
    readonly prefix?: { readonly addr: string; readonly len: number }
    readonly range?: readonly [string, string]
  }
  if (range) return between(...range)
  const cidr = prefix && Cidr.parse(`${prefix.addr}/${String(prefix.len)}`)
  return cidr && boundsOf(cidr)
}

const between = (from: string, to: string): Range | undefined => {
  const [first, last] = [Ip.parse(from), Ip.parse(to)]
  return first === undefined || last === undefined ? undefined : { first, last }
}

const boundsOf = (cidr: Cidr): Range => {
  const first = Cidr.network(cidr).address
  const size = 1n << BigInt((cidr.family === 4 ? 32 : 128) - cidr.length)
  const last = BigInt(first) + size - 1n
  return { first, last: (cidr.family === 4 ? Number(last) : last) as Ip }
}

const covers = ({ first, last }: Range, cidr: Cidr): boolean => {
  const bounds = boundsOf(cidr)
  return first <= bounds.first && bounds.last <= last
}

const isApart = ({ first, last }: Range, cidr: Cidr): boolean => {
  const bounds = boundsOf(cidr)
  return last < bounds.first || bounds.last < first
}
