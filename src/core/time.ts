import type { Branded } from './brand.ts'

/** A duration or a point on a monotonic clock, in milliseconds. */
export type Millis = Branded<number, 'Millis'>

export const Millis = {
  of: (milliseconds: number): Millis => milliseconds as Millis,
  seconds: (n: number): Millis => (n * 1000) as Millis,
  minutes: (n: number): Millis => (n * 60_000) as Millis,
  add: (a: Millis, b: Millis): Millis => (a + b) as Millis,

  /** `90s`, `10m`, `24h`, `250ms`, or a bare number of seconds. */
  parse: (text: string): Millis | undefined => {
    const match = /^(\d+(?:\.\d+)?)(ms|s|m|h|d)?$/.exec(text.trim())
    if (!match) return undefined
    const unit = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 }[match[2] ?? 's']
    return unit === undefined ? undefined : ((Number(match[1]) * unit) as Millis)
  },

  /** The shortest exact form that {@link Millis.parse} reads back. */
  print: (ms: Millis): string => {
    for (const [unit, size] of [
      ['h', 3_600_000],
      ['m', 60_000],
      ['s', 1000],
    ] as const)
      if (ms !== 0 && ms % size === 0) return `${String(ms / size)}${unit}`
    return ms === 0 ? '0s' : `${String(ms)}ms`
  },
} as const
