/**
 * nftables as `nft -j` reads and prints it (libnftables-json(5)): what is wanted is written down in the very form
 * in which it is read back, so that the two can be compared.
 */
export interface NftObject {
  readonly table?: NftTable
  readonly chain?: NftChain
  readonly rule?: NftRule
  /** Sets, counters, and what else a table may hold. */
  readonly [other: string]: unknown
}

export type NftCommand =
  { readonly add: NftObject } | { readonly insert: NftObject } | { readonly delete: NftObject }

export interface NftTable {
  readonly family: string
  readonly name: string
  readonly handle?: number
}

export interface NftChain {
  readonly family: string
  readonly table: string
  readonly name: string
  readonly handle?: number
  /** A base chain has these four: the kernel calls it at the hook. */
  readonly type?: string
  readonly hook?: string
  readonly prio?: number
  readonly policy?: string
}

export interface NftRule {
  readonly family: string
  readonly table: string
  readonly chain: string
  readonly handle?: number
  readonly comment?: string
  readonly expr: readonly NftStatement[]
}

/** One key: the kind of the statement. */
export type NftStatement = Readonly<Record<string, unknown>>

/** Every object that belongs to this table, itself included. */
export const objectsOf = (listing: readonly NftObject[], { family, name }: NftTable): readonly NftObject[] =>
  listing.filter((object) =>
    Object.entries(object).some(([kind, value]) => {
      const body = value as { readonly family?: unknown; readonly table?: unknown; readonly name?: unknown }
      return body.family === family && (kind === 'table' ? body.name : body.table) === name
    }),
  )

/** Equal for objects that mean the same: without handles, counts and the order of members. */
export const canonical = (objects: readonly NftObject[]): string => JSON.stringify(objects.map(ordered))

/** Given by the kernel, and different each time. */
const incidental: ReadonlySet<string> = new Set(['handle', 'packets', 'bytes'])

const ordered = (value: unknown): unknown => {
  if (Array.isArray(value)) return value.map(ordered)
  if (typeof value !== 'object' || value === null) return value
  const members = Object.entries(value)
    .filter(([name]) => !incidental.has(name))
    .map(([name, member]) => [name, name === 'flags' ? [member].flat() : ordered(member)] as const) // one flag stands bare in some versions
  return Object.fromEntries(members.sort(([a], [b]) => (a < b ? -1 : 1)))
}

/** A command as a line of a shell. */
export const printCommand = (command: NftCommand): string => {
  const [verb, object] = verbAndObject(command)
  const { table, chain, rule } = object
  if (table) return `nft ${verb} table ${table.family} ${table.name}`
  if (chain) return quoted(`${verb} chain ${chain.family} ${chain.table} ${chain.name} ${printBase(chain)}`)
  if (!rule) return ''
  const place = `${verb} rule ${rule.family} ${rule.table} ${rule.chain}`
  return verb === 'delete'
    ? `nft ${place} handle ${String(rule.handle)}`
    : quoted(`${place} ${printRule(rule)}`)
}

const verbAndObject = (command: NftCommand): readonly [string, NftObject] => {
  if ('add' in command) return ['add', command.add]
  return 'insert' in command ? ['insert', command.insert] : ['delete', command.delete]
}

const quoted = (words: string): string => `nft '${words}'`

const printBase = ({ type, hook, prio, policy }: NftChain): string =>
  `{ type ${type ?? ''} hook ${hook ?? ''} priority ${String(prio)}; policy ${policy ?? ''}; }`

const printRule = ({ expr, comment }: NftRule): string =>
  [...expr.map(printStatement), ...(comment === undefined ? [] : [`comment "${comment}"`])].join(' ')

/** The statements that we write. */
const printStatement = (statement: NftStatement): string => {
  const [kind = '', body] = Object.entries(statement)[0] ?? []
  if (kind === 'match') return printMatch(body as NftMatch)
  const flags = (body as { readonly flags?: string } | null)?.flags
  return flags === undefined ? kind : `${kind} ${flags}`
}

export interface NftMatch {
  readonly op: string
  readonly left: unknown
  readonly right: unknown
}

const printMatch = ({ op, left, right }: NftMatch): string =>
  [printOperand(left), ...(op === '==' ? [] : [op]), printOperand(right)].join(' ')

const printOperand = (operand: unknown): string => {
  if (typeof operand !== 'object' || operand === null) return String(operand)
  const { payload, prefix, meta, ...rest } = operand as {
    readonly payload?: { readonly protocol: string; readonly field: string }
    readonly prefix?: { readonly addr: string; readonly len: number }
    readonly meta?: { readonly key: string }
    readonly '&'?: readonly [unknown, number]
  }
  if (payload) return `${payload.protocol} ${payload.field}`
  if (prefix) return `${prefix.addr}/${String(prefix.len)}`
  if (meta) return `meta ${meta.key}`
  const [masked, mask] = rest['&'] ?? []
  return `${printOperand(masked)} & ${String(mask)} ==`
}
