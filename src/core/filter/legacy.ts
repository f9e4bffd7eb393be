import { Cidr } from '../net/cidr.ts'
import { dropsOverlay, isForwardChain, rulesIn } from './forward.ts'
import type { FilteredFamily } from './masquerade.ts'
import type { NftObject, NftStatement } from './nftables.ts'

/**
 * What `iptables-legacy -S` prints, as nft would list the same: those tables are the kernel's ip_tables, of which nftables
 * knows nothing, and packets have to pass both.
 */
export const parseLegacy = (family: 'ip' | 'ip6', printed: string): readonly NftObject[] => {
  const lines = printed.split('\n').map(wordsOf)
  const own = new Set(lines.flatMap(([verb, name = '']) => (verb === '-N' ? [name] : [])))
  const place = { family, table }
  return lines.flatMap(([verb, name = '', ...rest]): readonly NftObject[] => {
    if (verb === '-P' && name === 'FORWARD')
      return [{ chain: { ...place, name, type: 'filter', hook: 'forward', prio: 0, policy: (rest[0] ?? '').toLowerCase() } }] // prettier-ignore
    if (verb === '-A') return [{ rule: { ...place, chain: name, expr: statementsOf(rest, own, family) } }]
    return []
  })
}

/** What of it drops packets of the overlay, and how that would be mended. */
export const legacyDropping = (
  listing: readonly NftObject[],
  families: readonly FilteredFamily[],
): readonly string[] =>
  listing.flatMap(({ chain }) =>
    chain && isForwardChain(chain)
      ? families.filter((family) => dropsOverlay(chain, family, rulesIn(listing))).map(complaint)
      : [],
  )

const table = 'filter of iptables-legacy'

const complaint = ({ network }: FilteredFamily): string => {
  const program = network.family === 4 ? 'iptables-legacy' : 'ip6tables-legacy'
  const prefix = Cidr.print(network)
  return (
    `chain FORWARD of ${program} drops packets of ${prefix}, whatever nftables says; ` +
    `${program} -I FORWARD -s ${prefix} -j ACCEPT, and the same with -d, would let them pass`
  )
}

const wordsOf = (line: string): readonly string[] =>
  [...line.matchAll(/"(?:\\.|[^"\\])*"|\S+/g)].map(([word]) => word)

const verdicts: Readonly<Record<string, NftStatement>> = {
  ...{ ACCEPT: { accept: null }, DROP: { drop: null }, REJECT: { reject: null }, RETURN: { return: null } },
}

/** A condition that we don't know makes it a rule about a part of the packets, which counts neither way. */
function statementsOf(
  words: readonly string[],
  chains: ReadonlySet<string>,
  family: 'ip' | 'ip6',
): readonly NftStatement[] {
  const out: NftStatement[] = []
  let op = '=='
  const match = (left: unknown, right: unknown): void => {
    out.push({ match: { op, left, right } })
    op = '=='
  }
  for (let i = 0; i < words.length; i++) {
    const [word = '', value = ''] = [words[i], words[i + 1]]
    if (word === '!') {
      op = '!='
      continue
    }
    i++
    if (word === '-s' || word === '-d') {
      const [addr = '', length = ''] = value.split('/')
      const field = word === '-s' ? 'saddr' : 'daddr'
      match({ payload: { protocol: family, field } }, { prefix: { addr, len: Number(length) } })
    } else if (word === '-i' || word === '-o')
      match({ meta: { key: word === '-i' ? 'iifname' : 'oifname' } }, value.replace(/\+$/, '*'))
    else if (word === '--ctstate' || word === '--state')
      match({ ct: { key: 'state' } }, value.toLowerCase().split(','))
    else if (word === '-g') return [...out, { goto: { target: value } }]
    else if (word === '-j') {
      const jump = chains.has(value) ? { jump: { target: value } } : { log: null } // LOG, MARK: the packet goes on
      return [...out, verdicts[value] ?? jump]
    } else if (word === '-m') {
      if (!['conntrack', 'state', 'comment'].includes(value)) out.push({ xt: { name: value } })
    } else if (word !== '--comment') out.push({ xt: { name: word } })
  }
  return out
}
