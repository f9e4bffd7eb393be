/** What a parser at the border returns: the value, or why not, in words for the person who wrote it. */
export type Parsed<T> =
  { readonly kind: 'valid'; readonly value: T } | ({ readonly kind: 'invalid' } & Complaint)

/** One complaint about one field, in the order a person needs it: where, what, which rule, what to do. */
export interface Complaint {
  /** Path of the field, as the user wrote it: `Backend.VNI`. */
  readonly field: string
  /** The offending value, as JSON. */
  readonly value: string
  /** The rule that it breaks, and so the remedy. */
  readonly rule: string
}

export const valid = <T>(value: T): Parsed<T> => ({ kind: 'valid', value })

export const invalid = (field: string, value: unknown, rule: string): Parsed<never> => ({
  kind: 'invalid',
  field,
  value: value === undefined ? 'missing' : JSON.stringify(value),
  rule,
})

/** `Backend.VNI is 0: must be from 1 to 16777215` */
export const printComplaint = (c: Complaint): string => `${c.field} is ${c.value}: ${c.rule}`
