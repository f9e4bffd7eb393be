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
  if (nestingDepth(text) > limits.maxDepth)
    return invalid(name, excerpt(text), `must not nest deeper than ${limits.maxDepth} levels`)
  const parsed = parse(text)
  if (parsed === undefined) return invalid(name, excerpt(text), 'must be JSON')
  const json = freeze(parsed)
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

/** Recursion is bounded: the depth has been checked on the text. */
const freeze = (value: unknown): Json => {
  if (Array.isArray(value)) return value.map(freeze)
  if (typeof value === 'object' && value !== null)
    return new Map(Object.entries(value).map(([name, item]) => [foldedName(name), freeze(item)]))
  return value as null | boolean | number | string // all that JSON.parse leaves
}

/** How deep brackets nest outside strings; needs no valid JSON. */
const nestingDepth = (text: string): number => {
  let depth = 0
  let deepest = 0
  for (const [token] of text.matchAll(/"(?:[^"\\]|\\.)*"|[[\]{}]/gs)) {
    if (token === '[' || token === '{') deepest = Math.max(deepest, ++depth)
    else if (token === ']' || token === '}') depth--
  }
  return deepest
}

const excerpt = (text: string): string => (text.length > 60 ? `${text.slice(0, 60)}…` : text)
