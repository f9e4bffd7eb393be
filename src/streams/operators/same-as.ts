/** Equality of plain data; bigints are IPv6 addresses. */
export const sameAs = (a: unknown, b: unknown): boolean => a === b || asText(a) === asText(b)

const asText = (value: unknown): string =>
  JSON.stringify(value, (_, v: unknown) => (typeof v === 'bigint' ? v.toString() : v))
