import { invalid, type Parsed, valid } from '../parsed.ts'

/** JSON of foreign origin. Objects are maps, so that no key of theirs can touch a prototype. */
export type Json = null | boolean | number | string | readonly Json[] | JsonObject

/** Members by {@link foldedName}; read them with {@link member}. */
export type JsonObject = ReadonlyMap<string, Json>

export interface JsonLimits {
  /** In UTF-16 units, which are never more than the bytes. */
  readonly maxLength: number
  readonly maxDepth: number
}

/** A peer's record: flannel's are about 150 bytes; research found 4 KiB ample. */
export const recordLimits: JsonLimits = { maxLength: 4096, maxDepth: 8 }
/** The network configuration, written by people. */
export const configLimits: JsonLimits = { maxLength: 65_536, maxDepth: 16 }

/** Reads one JSON object; `name` is what a complaint calls the whole text. */
export const parseJsonObject = (text: string, name: string, limits: JsonLimits): Parsed<JsonObject> => {
  if (text.length > limits.maxLength)
    return invalid(name, excerpt(text), `must not be longer than ${limits.maxLength} characters`)
  const parsed = parse(text)
  if (parsed === undefined) return invalid(name, excerpt(text), 'must be JSON')
  const json = freeze(parsed, limits.maxDepth)
  if (json === tooDeep)
    return invalid(name, excerpt(text), `must not nest deeper than ${limits.maxDepth} levels`)
  return isObject(json) ? valid(json) : invalid(name, excerpt(text), 'must be a JSON object: {…}')
}

/**
 * The member of that name, whatever its case. Of several that differ only in case the last one counts,
 * as in Go's encoding/json: every host of a mixed cluster has to read the same thing.
 */
export const member = (object: JsonObject, name: string): Json | undefined => object.get(foldedName(name))

export const isObject = (json: Json | undefined): json is JsonObject => json instanceof Map

/** Back to plain JavaScript, for showing it in a complaint. */
export const plain = (json: Json): unknown => {
  if (isObject(json)) return Object.fromEntries([...json].map(([name, value]) => [name, plain(value)]))
  return Array.isArray(json) ? json.map(plain) : json
}

const foldedName = (name: string): string => name.toLowerCase()

const parse = (text: string): unknown => {
  try {
    return JSON.parse(text) as unknown
  } catch {
    return undefined // JSON.parse never returns undefined
  }
}

const tooDeep = Symbol('too deep')

/** JSON.parse needs no stack for depth; what comes after it does, and so stops at `levels`. */
const freeze = (value: unknown, levels: number): Json | typeof tooDeep => {
  if (typeof value !== 'object' || value === null) return value as null | boolean | number | string // JSON has no more
  if (levels === 0) return tooDeep
  return Array.isArray(value) ? freezeArray(value, levels - 1) : freezeObject(value, levels - 1)
}

const freezeArray = (array: readonly unknown[], levels: number): readonly Json[] | typeof tooDeep => {
  const frozen: Json[] = []
  for (const value of array) {
    const item = freeze(value, levels)
    if (item === tooDeep) return tooDeep
    frozen.push(item)
  }
  return frozen
}

const freezeObject = (object: object, levels: number): JsonObject | typeof tooDeep => {
  const frozen = new Map<string, Json>()
  for (const [name, value] of Object.entries(object)) {
    const item = freeze(value, levels)
    if (item === tooDeep) return tooDeep
    frozen.set(foldedName(name), item)
  }
  return frozen
}

const excerpt = (text: string): string => (text.length > 60 ? `${text.slice(0, 60)}…` : text)
