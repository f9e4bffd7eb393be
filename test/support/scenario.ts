import { Millis } from '../../src/core/time.ts'

/** A file of test/scenarios, read. The language is described in test/scenarios/README.md. */
export interface Scenario {
  readonly name: string
  /** What it shows: the comment at its top. */
  readonly about: string
  readonly settings: ScenarioSettings
  readonly steps: readonly Step[]
}

export interface ScenarioSettings {
  /** What `<prefix>/config` holds at first. */
  readonly network: string
  readonly resolve: 'eager' | 'on-miss'
  readonly hold: Millis
  readonly idle: Millis
  readonly maxNeighbours: number
  /** Why Linux can't play it. */
  readonly onlyMemory: string | undefined
  /** Why the final tables may depend on the way there. */
  readonly dependsOnTheWay: string | undefined
}

/** What happens, and how the tables differ afterwards from those before. */
export interface Step {
  readonly line: number
  readonly text: string
  readonly action: Action
  /** Undefined: nothing is looked at before the next step. */
  readonly change: Change | undefined
}

export interface Change {
  readonly added: readonly string[]
  readonly removed: readonly string[]
}

export type Action =
  | { readonly kind: 'start' | 'stop' | 'restart' | 'forget' | 'renumber' }
  | { readonly kind: 'put'; readonly key: string; readonly value: string }
  | { readonly kind: 'delete'; readonly key: string }
  | { readonly kind: 'leave'; readonly key: string }
  | { readonly kind: 'config'; readonly value: string }
  | { readonly kind: 'etcd'; readonly what: 'down' | 'up' | 'compacts' }
  | { readonly kind: 'packet'; readonly to: string; readonly reaches: string | undefined }
  | { readonly kind: 'by hand'; readonly command: string; readonly heard: boolean }
  | { readonly kind: 'overrun' }
  | { readonly kind: 'wait'; readonly time: Millis }
  | {
      readonly kind: 'kernel refuses'
      readonly times: 'once' | 'always'
      readonly code: string
      readonly command: string
    }
  | { readonly kind: 'kernel accepts' }

const defaults: ScenarioSettings = {
  network: '{"Network":"10.5.0.0/16","Backend":{"Type":"vxlan"}}',
  resolve: 'eager',
  hold: Millis.seconds(60),
  idle: Millis.of(0),
  maxNeighbours: 1000,
  onlyMemory: undefined,
  dependsOnTheWay: undefined,
}

/** Reads a scenario; throws with the number of the line that it can't read. */
export const parseScenario = (name: string, text: string): Scenario => {
  const about: string[] = []
  const steps: Step[] = []
  let settings = defaults
  for (const [index, whole] of text.split('\n').entries()) {
    const at = index + 1
    if (whole.startsWith('#')) {
      if (steps.length === 0) about.push(whole.slice(1).trim())
    } else if (whole.trim() !== '') {
      const isChange = whole.startsWith(' ')
      for (const line of expand(whole.trim())) {
        const last = steps.at(-1)
        const setting = isChange ? undefined : readSetting(line)
        if (setting && steps.length === 0) settings = { ...settings, ...setting }
        else if (!isChange)
          steps.push({ line: at, text: line, action: readAction(line, at), change: undefined })
        else if (last) steps[steps.length - 1] = { ...last, change: addLine(last.change, line, at) }
        else throw new Error(`line ${at}: tables before the first step`)
      }
    }
  }
  return { name, about: about.join(' '), settings, steps }
}

/** `{2..4}` stands for three lines; several in one line count together. */
const expand = (line: string): readonly string[] => {
  const range = /\{(\d+)\.\.(\d+)\}/.exec(line)
  if (!range) return [line]
  const count = Number(range[2]) - Number(range[1]) + 1
  return Array.from({ length: count }, (_, n) =>
    line.replaceAll(/\{(\d+)\.\.\d+\}/g, (_whole, from: string) => String(Number(from) + n)),
  )
}

const addLine = (change: Change = { added: [], removed: [] }, line: string, at: number): Change => {
  if (line === 'no change') return change
  const sign = line.slice(0, 2)
  const row = line.slice(2)
  if (sign === '+ ') return { ...change, added: [...change.added, row] }
  if (sign === '- ') return { ...change, removed: [...change.removed, row] }
  throw new Error(`line ${at}: "${line}" is neither "+ row", "- row" nor "no change"`)
}

const readSetting = (line: string): Partial<ScenarioSettings> | undefined => {
  const [, key, value = ''] =
    /^(network|resolve|hold|idle|max-neighbours|only memory:|depends on the way:) (.+)$/.exec(line) ?? []
  switch (key) {
    case 'network':
      return { network: value }
    case 'resolve':
      return { resolve: value === 'on-miss' ? 'on-miss' : 'eager' }
    case 'hold':
      return { hold: duration(value) }
    case 'idle':
      return { idle: duration(value) }
    case 'max-neighbours':
      return { maxNeighbours: Number(value) }
    case 'only memory:':
      return { onlyMemory: value }
    case 'depends on the way:':
      return { dependsOnTheWay: value }
    case undefined:
    default:
      return undefined
  }
}

const duration = (text: string): Millis => {
  const time = Millis.parse(text)
  if (time === undefined) throw new Error(`"${text}" is no duration`)
  return time
}

const keyOf = (subnet: string): string => subnet.replaceAll('/', '-').replace(',', '&')

/** `10.5.2.0/24,fc00:0:0:2::/64` and the like: what is of IPv4 and what of IPv6, in that order. */
const halves = (text: string, ofIpv6: (part: string, place: number) => boolean) => {
  const parts = text.split(',')
  return { ipv4: parts.find((part, i) => !ofIpv6(part, i)), ipv6: parts.find((part, i) => ofIpv6(part, i)) }
}

/** The value that a host of ours writes, or flannel if there is no node. */
const valueOf = (terms: { via: string; mac: string | undefined; node: string | undefined }): string => {
  const via = halves(terms.via, (part) => part.includes(':'))
  const mac = halves(terms.mac ?? '', (_, place) => place === 1 || via.ipv4 === undefined)
  const vtep = (address: string | undefined) =>
    address === undefined || address === '' ? undefined : { VNI: 1, VtepMAC: address }
  return JSON.stringify({
    PublicIP: via.ipv4 ?? null,
    PublicIPv6: via.ipv6 ?? null,
    BackendType: terms.mac === undefined ? 'host-gw' : 'vxlan',
    BackendData: vtep(mac.ipv4),
    BackendV6Data: vtep(mac.ipv6),
    Node: terms.node,
  })
}

const readers: readonly (readonly [RegExp, (...words: string[]) => Action])[] = [
  [/^(start|stop|restart)$/, (kind) => ({ kind: kind === 'start' || kind === 'stop' ? kind : 'restart' })],
  [/^renumber$/, () => ({ kind: 'renumber' })],
  [/^disk is empty$/, () => ({ kind: 'forget' })],
  [
    /^lease put (\S+) via (\S+)(?: mac (\S+))?(?: node (\S+))?$/,
    (subnet = '', via = '', mac, node) => ({
      kind: 'put',
      key: keyOf(subnet),
      value: valueOf({ via, mac, node }),
    }),
  ],
  [/^record (\S+) (.+)$/, (key = '', value = '') => ({ kind: 'put', key, value })],
  [/^lease delete (\S+)$/, (subnet = '') => ({ kind: 'delete', key: keyOf(subnet) })],
  [/^leave (\S+)$/, (subnet = '') => ({ kind: 'leave', key: keyOf(subnet) })],
  [/^config (.+)$/, (value = '') => ({ kind: 'config', value })],
  [
    /^etcd (down|up|compacts)$/,
    (what) => ({ kind: 'etcd', what: what === 'down' || what === 'up' ? what : 'compacts' }),
  ],
  [
    /^packet to (\S+)(?: (?:reaches (\S+)|is lost))?$/,
    (to = '', reaches) => ({ kind: 'packet', to, reaches }),
  ],
  [/^by hand: (.+)$/, (command = '') => ({ kind: 'by hand', command, heard: true })],
  [/^unheard: (.+)$/, (command = '') => ({ kind: 'by hand', command, heard: false })],
  [/^overrun$/, () => ({ kind: 'overrun' })],
  [/^wait (\S+)$/, (time = '') => ({ kind: 'wait', time: duration(time) })],
  [
    /^kernel refuses( once)? \((\S+)\): (.+)$/,
    (once, code = '', command = '') => ({
      kind: 'kernel refuses',
      times: once ? 'once' : 'always',
      code,
      command,
    }),
  ],
  [/^kernel accepts$/, () => ({ kind: 'kernel accepts' })],
]

const readAction = (line: string, at: number): Action => {
  for (const [pattern, read] of readers) {
    const match = pattern.exec(line)
    if (match) return read(...match.slice(1))
  }
  throw new Error(`line ${at}: "${line}" is no step`)
}
