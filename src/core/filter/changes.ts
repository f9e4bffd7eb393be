import { Cidr } from '../net/cidr.ts'
import { dropsOverlay, isForwardChain, rulesIn } from './forward.ts'
import { acceptStatements, type FilterSpec, masqueradeTable, ownTable } from './masquerade.ts'
import { canonical, type NftChain, type NftCommand, type NftObject, type NftRule, objectsOf } from './nftables.ts' // prettier-ignore

/** What stands between the packet filter as it is and as it is wanted. */
export interface FilterChanges {
  /** One transaction; empty if nothing is to be done. */
  readonly commands: readonly NftCommand[]
  /** What of others drops packets of the overlay, and will after the commands too. */
  readonly dropping: readonly string[]
}

/** On rules of ours in chains of others. */
export const ourComment = 'tweed'

const nothingWanted: FilterSpec = {
  ...{ masquerade: false, fullyRandom: false, acceptForwarded: false, families: [] },
}

export const filterChanges = (
  listing: readonly NftObject[],
  spec: FilterSpec = nothingWanted,
): FilterChanges => {
  const forward = listing
    .flatMap(({ chain }) => (chain && isForwardChain(chain) ? [chain] : []))
    .map((chain) => forwardChanges(chain, rulesIn(listing), spec))
  return {
    commands: [...ownTableChanges(listing, spec), ...forward.flatMap(({ commands }) => commands)],
    dropping: forward.flatMap(({ dropping }) => dropping),
  }
}

/**
 * The table is replaced as a whole, in the transaction that removes it: a packet meets the old one or the new
 * one. To remove what isn't there is an error, so it is added first.
 */
function ownTableChanges(listing: readonly NftObject[], spec: FilterSpec): readonly NftCommand[] {
  const standing = objectsOf(listing, ownTable)
  const wanted = spec.masquerade ? masqueradeTable(spec) : []
  if (canonical(standing) === canonical(wanted)) return []
  const table = { table: ownTable }
  return [{ add: table }, { delete: table }, ...wanted.map((object) => ({ add: object }))]
}

/** Ours stand in front: a rule of somebody else that drops must not come before. */
function forwardChanges(
  chain: NftChain,
  rules: readonly NftRule[],
  { families, acceptForwarded }: FilterSpec,
): FilterChanges {
  const isOurs = (rule: NftRule): boolean => rule.comment === ourComment
  const ours = rules.filter((rule) => isOurs(rule) && isIn(chain, rule))
  const others = rules.filter((rule) => !isOurs(rule))
  const closed = families.filter((family) => dropsOverlay(chain, family, others))
  const wanted = acceptForwarded ? closed.flatMap(({ network }) => accepting(chain, network)) : []
  const stands =
    sameRules(ours, wanted) && !(acceptForwarded && families.some((f) => dropsOverlay(chain, f, rules)))
  const dropping = acceptForwarded ? [] : closed.map(({ network }) => complaint(chain, network))
  if (stands) return { commands: [], dropping }
  return {
    commands: [
      ...ours.map(({ family, table, chain: name, handle = 0 }): NftCommand => ({
        delete: { rule: { family, table, chain: name, handle, expr: [] } },
      })),
      ...wanted.toReversed().map((rule): NftCommand => ({ insert: { rule } })),
    ],
    dropping,
  }
}

const isIn = (chain: NftChain, rule: NftRule): boolean =>
  rule.family === chain.family && rule.table === chain.table && rule.chain === chain.name

const sameRules = (a: readonly NftRule[], b: readonly NftRule[]): boolean =>
  canonical(a.map((rule) => ({ rule }))) === canonical(b.map((rule) => ({ rule })))

const accepting = ({ family, table, name }: NftChain, network: Cidr): readonly NftRule[] =>
  acceptStatements(network).map((expr) => ({ family, table, chain: name, comment: ourComment, expr }))

const complaint = ({ family, table, name, policy }: NftChain, network: Cidr): string =>
  `chain ${name} of table ${family} ${table} (policy ${policy ?? 'accept'}) drops packets of ${Cidr.print(network)}`
