import { type Family, Ip } from '../core/net/ip.ts'
import { Millis } from '../core/time.ts'

/** One setting: a flag, an environment variable, a key of the configuration file. */
export interface Setting<T> {
  /** What the value looks like in `--help`: `<duration>`. */
  readonly placeholder: string
  readonly help: string
  /** As a user would write it; undefined: there is none. */
  readonly fallback: string | undefined
  /** May be given several times. */
  readonly repeatable: boolean
  /** Never shown in logs or errors. */
  readonly secret: boolean
  /** Only the agent has it, not the commands around it. */
  readonly agentOnly: boolean
  /** The rule that a value has to keep, for the error message. */
  readonly rule: string
  /** `undefined` breaks the rule. Repeated texts arrive as one array. */
  readonly parse: (texts: readonly string[]) => T | undefined
}

type Words = readonly [placeholder: string, help: string, fallback?: string]
type Marks = Partial<Pick<Setting<unknown>, 'repeatable' | 'secret' | 'agentOnly'>>

export const make = <T>(
  words: Words,
  rule: string,
  parse: Setting<T>['parse'],
  marks: Marks = {},
): Setting<T> => {
  const [placeholder, help, fallback] = words
  return {
    placeholder,
    help,
    fallback,
    rule,
    parse,
    repeatable: false,
    secret: false,
    agentOnly: false,
    ...marks,
  }
}
export const agentOnly = { agentOnly: true }

export const text = (words: Words, marks?: Marks): Setting<string> =>
  make(words, 'must not be empty', ([given]) => (given === '' ? undefined : given), marks)

export const optional = (words: Words, marks?: Marks): Setting<string | undefined> => text(words, marks)

export const oneOf = <const T extends string>(
  choices: readonly T[],
  words: Words,
  marks?: Marks,
): Setting<T> =>
  make(
    words,
    `must be ${choices.join(' or ')}`,
    ([given]) => choices.find((choice) => choice === given),
    marks,
  )

/** A timer of Node counts 31 bits of milliseconds; some wait for one and a half times what is set. */
const longest = '16d'
const bounded = (given: string): Millis | undefined => {
  const value = Millis.parse(given)
  return value !== undefined && value <= (Millis.parse(longest) ?? 0) ? value : undefined
}

export const duration = (words: Words, marks?: Marks): Setting<Millis> =>
  make(
    words,
    `must be a duration such as 90s, 10m or 24h, at most ${longest}`,
    ([given = '']) => bounded(given),
    marks,
  )

export const atLeast = (least: string, words: Words, marks?: Marks): Setting<Millis> =>
  make(
    words,
    `must be a duration of at least ${least} and at most ${longest}`,
    ([given = '']) => {
      const value = bounded(given)
      return value !== undefined && value >= (Millis.parse(least) ?? 0) ? value : undefined
    },
    marks,
  )

/** A flag alone is `true`, as in flannel. */
export const yesOrNo = (
  words: readonly [help: string, fallback: 'true' | 'false'],
  marks?: Marks,
): Setting<boolean> =>
  make(
    ['[true|false]', ...words],
    'must be true or false',
    ([given]) => (given === 'true' ? true : given === 'false' ? false : undefined),
    marks,
  )

export const address = <A extends Ip>(
  [family, words]: readonly [Family, Words],
  marks?: Marks,
): Setting<A | undefined> =>
  make<A | undefined>(
    words,
    `must be an IPv${family} address`,
    ([given = '']) => {
      const ip = Ip.parse(given)
      return ip !== undefined && Ip.family(ip) === family ? (ip as A) : undefined
    },
    marks,
  )
