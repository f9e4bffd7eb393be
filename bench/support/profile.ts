import { readFile } from 'node:fs/promises'
import type { BenchLab } from './bench-lab.ts'
import { nowMs } from './row-watch.ts'

interface CpuProfile {
  readonly nodes: readonly {
    readonly id: number
    readonly callFrame: { readonly functionName: string; readonly url: string; readonly lineNumber: number }
    readonly children?: readonly number[]
  }[]
  readonly samples: readonly number[]
  readonly timeDeltas: readonly number[]
  /** Since the process began. */
  readonly startedAfterMs: number
}

export interface Profiled<T> {
  readonly result: T
  /** Where the time went, a line each. */
  readonly lines: readonly string[]
}

/** What a frame belongs to, asked from the innermost frame outwards; the first that answers counts. */
const areas: readonly (readonly [name: string, matches: RegExp])[] = [
  ['garbage collection', /^\(garbage collector\)/],
  ['idle', /^\(idle\)/],
  ['kernel: sendto', /^(sendNow|send) .*adapters\/netlink/],
  ['netlink: writer', /adapters\/netlink\/(writer|encode)/],
  ['netlink: dump', /adapters\/netlink\/dump/],
  ['netlink: events', /adapters\/netlink\/(events|decode|fdb-echoes)/],
  ['netlink: rest', /adapters\/netlink\//],
  ['core: records and admission', /core\/(overlay|net|parsed)/],
  ['core: tables and forwarding', /core\/(kernel|forwarding)/],
  ['status and narration', /streams\/(report|narrate|agent-state|standing|remember)|adapters\/host/],
  [
    'etcd: protobuf and gRPC',
    /node_modules\/(@grpc|protobufjs|@protobufjs|etcd3|cockatiel|long)|adapters\/etcd/,
  ],
  ['streams', /streams\/|node_modules\/rxjs/],
  [
    'loading modules',
    /internal\/modules|node:internal\/(bootstrap|main|process\/(esm|execution))|node:vm|internal\/vm/,
  ],
]
const areaOf = (frame: string): string | undefined => areas.find(([, matches]) => matches.test(frame))?.[0]

/** Runs the agent of the bench's host under V8's profiler, then ends it and reads what it wrote. */
export const profileOf = async <T>(bench: BenchLab, work: () => Promise<T>): Promise<Profiled<T>> => {
  const file = `/run/profile-${Math.round(nowMs())}.json`
  const preload = new URL('../programs/profiled.mjs', import.meta.url).href
  Object.assign(process.env, { NODE_OPTIONS: `--import=${preload}`, TWEED_PROFILE: file })
  const startedAt = Date.now()
  let result: T
  try {
    result = await work()
  } finally {
    delete process.env['NODE_OPTIONS']
    delete process.env['TWEED_PROFILE']
  }
  const milestones = (bench.host.agent?.logs ?? []).flatMap((line) => milestone(line, startedAt))
  await bench.host.agent?.kill('SIGTERM')
  const lines = summary(JSON.parse(await readFile(file, 'utf8')) as CpuProfile)
  return { result, lines: [`log, ms since the start: ${milestones.join(', ')}`, ...lines] }
}

/** `lease.owned 812` */
const milestone = (line: string, startedAt: number): readonly string[] => {
  try {
    const { time, event } = JSON.parse(line) as { time: string; event: string }
    return [`${event} ${Date.parse(time) - startedAt}`]
  } catch {
    return []
  }
}

const summary = ({ nodes, samples, timeDeltas, startedAfterMs }: CpuProfile): readonly string[] => {
  const parents = new Map<number, number>()
  for (const { id, children = [] } of nodes) for (const child of children) parents.set(child, id)
  const byId = new Map(nodes.map((node) => [node.id, node]))
  const areaById = new Map<number, string>()
  const find = (id: number): string => {
    const known = areaById.get(id)
    if (known !== undefined) return known
    const node = byId.get(id)
    const frame = node ? `${node.callFrame.functionName} ${node.callFrame.url}` : ''
    const parent = parents.get(id)
    // `require` inside a package of etcd's is loading, whatever the package.
    const isLoading = node && node.callFrame.functionName === '' && /node_modules/.test(node.callFrame.url)
    const area =
      (isLoading ? 'loading modules' : areaOf(frame)) ?? (parent === undefined ? 'other' : find(parent))
    areaById.set(id, area)
    return area
  }
  const msByArea = new Map<string, number>()
  const msByFunction = new Map<string, number>()
  samples.forEach((id, i) => {
    const ms = (timeDeltas[i] ?? 0) / 1000
    msByArea.set(find(id), (msByArea.get(find(id)) ?? 0) + ms)
    const frame = byId.get(id)?.callFrame
    if (!frame) return
    const where = `${frame.functionName || '(top level)'} ${frame.url.replace(/^.*\/(dist|node_modules)\//, '')}:${frame.lineNumber + 1}`
    msByFunction.set(where, (msByFunction.get(where) ?? 0) + ms)
  })
  const largest = (map: ReadonlyMap<string, number>, count: number) =>
    [...map].sort((a, b) => b[1] - a[1]).slice(0, count)
  return [
    `ms on the main thread: start of node itself ${startedAfterMs.toFixed()}, ` +
      largest(msByArea, 20)
        .map(([area, ms]) => `${area} ${ms.toFixed()}`)
        .join(', '),
    'ms by function: ' +
      largest(msByFunction, 16)
        .map(([name, ms]) => `${name} ${ms.toFixed()}`)
        .join('; '),
  ]
}
