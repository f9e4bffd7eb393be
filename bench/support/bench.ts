import { median, rounded } from './statistics.ts'

/** Parameters by their flag, as text; the defaults are the sizes of the claims. */
export type Parameters = Readonly<Record<string, string>>

export interface Bench {
  readonly name: string
  /** What is measured, in a line. */
  readonly about: string
  /** What it is compared with in the same run. */
  readonly yardstick: string
  /** Flags and their defaults. */
  readonly parameters: Parameters
  readonly run: (given: Given) => Promise<Findings>
}

export interface Given {
  readonly parameters: Parameters
  /** Tells how far it has come; not a result. */
  readonly say: (line: string) => void
}

export const numberOf = ({ parameters }: Given, name: string): number => {
  const value = Number(parameters[name])
  if (Number.isNaN(value)) throw new Error(`--${name} must be a number`)
  return value
}
export const numbersOf = ({ parameters }: Given, name: string): readonly number[] =>
  (parameters[name] ?? '').split(',').filter(Boolean).map(Number)

export interface Findings {
  readonly figures: readonly Figure[]
  readonly ratios: readonly Ratio[]
  /** What a reader has to know besides. */
  readonly notes?: readonly string[]
}

/** One thing that was measured several times. */
export interface Figure {
  readonly name: string
  readonly unit: string
  readonly median: number
  readonly min: number
  readonly max: number
  readonly samples: readonly number[]
}

export const figure = (name: string, unit: string, samples: readonly number[]): Figure => ({
  name,
  unit,
  median: rounded(median(samples)),
  min: rounded(Math.min(...samples)),
  max: rounded(Math.max(...samples)),
  samples: samples.map(rounded),
})

/** A figure against its yardstick, or against a fixed bar. */
export interface Ratio {
  readonly name: string
  readonly value: number
  /** The ratios of the single rounds. */
  readonly min: number
  readonly max: number
  readonly bar?: Bar
  readonly met?: boolean
}

export type Bar = { readonly atMost: number } | { readonly atLeast: number }

const meets = (value: number, bar: Bar): boolean =>
  'atMost' in bar ? value <= bar.atMost : value >= bar.atLeast

/** Median of `ours` over median of `theirs`; sample i of both comes from round i. */
export const ratio = (name: string, ours: readonly number[], theirs: readonly number[], bar?: Bar): Ratio => {
  const value = median(ours) / median(theirs)
  const byRound = ours.map((one, i) => one / (theirs[i] ?? Number.NaN)).filter(Number.isFinite)
  return {
    name,
    value: rounded(value),
    min: rounded(Math.min(...byRound)),
    max: rounded(Math.max(...byRound)),
    ...(bar && { bar, met: meets(value, bar) }),
  }
}

/** For what is compared with a number and not with a yardstick. */
export const against = (name: string, samples: readonly number[], bar: Bar): Ratio => {
  const value = median(samples)
  return {
    name,
    value: rounded(value),
    min: rounded(Math.min(...samples)),
    max: rounded(Math.max(...samples)),
    bar,
    met: meets(value, bar),
  }
}

/** Runs every contender once per round, in turn, so that a slow minute of the machine hits all of them alike. */
export const inTurn = async (
  rounds: number,
  contenders: Readonly<Record<string, (round: number) => Promise<void>>>,
): Promise<void> => {
  const runs = Object.values(contenders)
  for (let round = 0; round < rounds; round++)
    for (let i = 0; i < runs.length; i++) await runs[(i + round) % runs.length]?.(round) // nobody is always first
}

/** Samples by name, in the order of their rounds. */
export class Samples {
  readonly #samples = new Map<string, number[]>()
  add(name: string, value: number): void {
    const list = this.#samples.get(name)
    if (list) list.push(value)
    else this.#samples.set(name, [value])
  }
  of(name: string): readonly number[] {
    return this.#samples.get(name) ?? []
  }
  /** Forgets what was only a warm-up. */
  clear(): void {
    this.#samples.clear()
  }
  figures(unit: string): readonly Figure[] {
    return [...this.#samples].map(([name, samples]) => figure(name, unit, samples))
  }
}
