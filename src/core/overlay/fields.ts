import type { Complaint } from '../parsed.ts'
import { invalid } from '../parsed.ts'
import { type Json, type JsonObject, member, plain } from './json.ts'

export interface WholeRule {
  readonly from: number
  readonly to: number
  /** As in Go, where a missing number is 0. */
  readonly zeroIsAbsent?: boolean
}

/** Reads typed members of one object and remembers the first complaint, so that a parser reads like a list. */
export interface FieldReader {
  readonly text: (name: string) => string | undefined
  readonly flag: (name: string, byDefault: boolean) => boolean
  readonly whole: (name: string, rule: WholeRule) => number | undefined
  readonly complaint: ({ readonly kind: 'invalid' } & Complaint) | undefined
}

/** `path` stands before each name in a complaint: `Backend.`. Null is absent, as for Go. */
export const readFields = (object: JsonObject, path: string): FieldReader => {
  let complaint: FieldReader['complaint']
  const complain = (name: string, found: Json, rule: string): void => {
    const made = invalid(`${path}${name}`, plain(found), rule)
    if (made.kind === 'invalid') complaint ??= made
  }
  return {
    text: (name) => {
      const found = member(object, name) ?? undefined
      if (found === undefined || typeof found === 'string') return found
      complain(name, found, 'must be a string')
      return undefined
    },
    flag: (name, byDefault) => {
      const found = member(object, name) ?? byDefault
      if (typeof found === 'boolean') return found
      complain(name, found, 'must be true or false')
      return byDefault
    },
    whole: (name, { from, to, zeroIsAbsent = false }) => {
      const found = member(object, name) ?? undefined
      if (found === undefined || (zeroIsAbsent && found === 0)) return undefined
      if (typeof found === 'number' && Number.isInteger(found) && found >= from && found <= to) return found
      complain(name, found, `must be a whole number from ${from} to ${to}`)
      return undefined
    },
    get complaint() {
      return complaint
    },
  }
}
