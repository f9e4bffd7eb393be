import { readFileSync } from 'node:fs'
import type { Setting } from './setting.ts'
import { type Flag, type Settings, settings } from './settings.ts'

/** Where a value comes from, strongest first. */
export type Origin = 'flag' | 'environment' | 'file' | 'default'

export interface Loaded {
  readonly values: Settings
  readonly origins: Readonly<Record<Flag, Origin>>
}

/** Names the flag or variable or key, the value, the rule; the program exits with 2. */
export class SettingError extends Error {
  override readonly name = 'SettingError'
}

export interface Sources {
  /** As commander collected them; a repeatable one is an array. */
  readonly flags: Readonly<Record<string, string | readonly string[] | undefined>>
  readonly environment: Readonly<Record<string, string | undefined>>
  /** A file that has to exist, or undefined: the default one if it is there. */
  readonly file: string | undefined
}

export const defaultFile = '/etc/tweed/tweed.json'

export const variableOf = (flag: string): string => `TWEED_${flag.toUpperCase().replaceAll('-', '_')}`

/** Flags > environment > file > default, each value parsed; one frozen object out. */
export const loadSettings = (sources: Sources): Loaded => {
  const file = readConfigFile(sources.file ?? sources.environment['TWEED_CONFIG_FILE'])
  const values: Record<string, unknown> = {}
  const origins: Record<string, Origin> = {}
  for (const [flag, setting] of Object.entries(settings) as [Flag, Setting<unknown>][]) {
    const found = find(flag, setting, { ...sources, content: file })
    origins[flag] = found?.origin ?? 'default'
    values[flag] = found ? parsed(setting, found) : setting.repeatable ? [] : undefined
  }
  return Object.freeze({ values: Object.freeze(values) as Settings, origins: origins as Loaded['origins'] })
}

interface Found {
  readonly origin: Origin
  /** What the user would recognise: `--idle`, `TWEED_IDLE`, `idle in /etc/tweed/tweed.json`. */
  readonly name: string
  readonly texts: readonly string[]
}

type Places = Sources & { readonly content: ConfigFile | undefined }

function find(
  flag: Flag,
  setting: Setting<unknown>,
  { flags, environment, content }: Places,
): Found | undefined {
  const given = flags[flag]
  if (given !== undefined) return { origin: 'flag', name: `--${flag}`, texts: [given].flat() }
  const variable = variableOf(flag)
  const set = environment[variable]
  if (set !== undefined) return { origin: 'environment', name: variable, texts: [set] }
  const written = content?.values[flag]
  if (content && written !== undefined)
    return { origin: 'file', name: `${flag} in ${content.path}`, texts: asTexts(written) }
  const { fallback } = setting
  return fallback === undefined ? undefined : { origin: 'default', name: `--${flag}`, texts: [fallback] }
}

function parsed(setting: Setting<unknown>, { name, texts }: Found): unknown {
  const value = setting.parse(texts)
  if (value !== undefined) return value
  const shown = setting.secret ? 'set' : texts.map((t) => JSON.stringify(withoutLogin(t))).join(', ')
  throw new SettingError(`${name} is ${shown}: it ${setting.rule}`)
}

/** `http://user:password@host` is how some would give a password, and an error is read by others. */
const withoutLogin = (text: string): string => text.replaceAll(/[^/,\s]*@/g, '')

interface ConfigFile {
  readonly path: string
  readonly values: Readonly<Record<string, unknown>>
}

function readConfigFile(named: string | undefined): ConfigFile | undefined {
  const path = named ?? defaultFile
  const text = readIfThere(path)
  if (text === undefined) {
    if (named === undefined) return undefined
    throw new SettingError(
      `--config-file is ${JSON.stringify(named)}: there is no such file, or it can't be read`,
    )
  }
  const values = parseObject(path, text)
  const unknown = Object.keys(values).filter((key) => !(key in settings))
  if (unknown.length > 0)
    throw new SettingError(
      `${path} has ${unknown.join(', ')}: not a setting; the keys are the flags without dashes in front`,
    )
  return { path, values }
}

function parseObject(path: string, text: string): Readonly<Record<string, unknown>> {
  try {
    const value: unknown = JSON.parse(text)
    if (typeof value === 'object' && value !== null && !Array.isArray(value))
      return value as Record<string, unknown>
  } catch (error) {
    throw new SettingError(`${path} is no JSON: ${(error as Error).message}`)
  }
  throw new SettingError(`${path} must hold one JSON object, flag → value`)
}

const readIfThere = (path: string): string | undefined => {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return undefined
  }
}

const asTexts = (value: unknown): readonly string[] =>
  [value].flat().map((v) => (typeof v === 'string' ? v : JSON.stringify(v)))
