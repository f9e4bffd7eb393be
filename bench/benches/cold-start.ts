import { writeFile } from 'node:fs/promises'
import type { Host } from '../../test/support/host.ts'
import { output } from '../../test/support/process.ts'
import {
  type Bench,
  figure,
  type Given,
  inTurn,
  numberOf,
  numbersOf,
  ratio,
  Samples,
} from '../support/bench.ts'
import { BenchLab, prefix } from '../support/bench-lab.ts'
import { barChart, lineChart, writeChart } from '../support/chart.ts'
import { batchLine, numbers, type RowKind } from '../support/peers.ts'
import { profileOf } from '../support/profile.ts'
import { reachedBy } from '../support/wait.ts'
import { nowMs, RowWatch } from '../support/row-watch.ts'
import { median } from '../support/statistics.ts'

/** What `ip` and `bridge` need for the same entries; the device is made before they are timed. */
class Script {
  readonly #host: Host
  readonly #command: string
  private constructor(host: Host, command: string) {
    this.#host = host
    this.#command = command
  }

  static async write(bench: BenchLab, peers: number): Promise<Script> {
    const file = async (name: string, kinds: readonly RowKind[]) => {
      const lines = kinds.flatMap((kind) => numbers(peers).map((i) => batchLine(kind, 'add', i, 'tweed.1')))
      await writeFile(`/run/cold-${name}`, lines.join('\n') + '\n')
      return `/run/cold-${name}`
    }
    const get = `ETCDCTL_API=3 etcdctl --endpoints=${bench.lab.endpoint} get --prefix ${prefix}/subnets/ >/run/cold-got`
    const fdb = await file('fdb', ['fdb'])
    const rest = await file('rest', ['neigh', 'route'])
    return new Script(bench.host, `set -e; ${get}; bridge -batch ${fdb}; ip -batch ${rest}`)
  }

  /** Milliseconds of the three programs, one after the other. */
  async run(): Promise<number> {
    const { host } = this
    await host.netns.batch([
      `link add tweed.1 type vxlan id 1 local ${host.address} dev eth0 dstport 8472 nolearning`,
      'addr add 10.250.0.0/32 dev tweed.1',
      'link set tweed.1 up',
    ])
    const before = nowMs()
    await output(host.netns.wrap(['sh', '-c', this.#command]))
    const took = nowMs() - before
    await host.exec('ip', 'link', 'del', 'tweed.1')
    return took
  }

  get host(): Host {
    return this.#host
  }
}

export interface ColdStart {
  /** From the start of the process, in ms. */
  readonly deviceMs: number
  readonly firstRowMs: number
  readonly firstRouteMs: number
  readonly lastRouteMs: number
}

/** An agent on a host that has never had one, until its last route stands; it goes on running. */
export const coldStart = async (
  bench: BenchLab,
  watch: RowWatch,
  peers: number,
  flags: readonly string[] = [],
): Promise<ColdStart> => {
  await bench.forget(bench.host)
  await watch.target(peers)
  const start = nowMs()
  const agent = await bench.host.startAgent(flags)
  const { routesAdded, fdbAdded, linkOrAddress } = await reachedBy(agent, watch)
  return {
    deviceMs: linkOrAddress.firstMs - start,
    firstRowMs: fdbAdded.firstMs - start,
    firstRouteMs: routesAdded.firstMs - start,
    lastRouteMs: routesAdded.lastMs - start,
  }
}

const measure = async (bench: BenchLab, peers: number, rounds: number, samples: Samples) => {
  // Routes and links alone: thirty thousand notifications would be a load of their own. Both contenders are watched.
  const watch = await RowWatch.start(bench.host.netns, ['route', 'link'])
  const script = await Script.write(bench, peers)
  await inTurn(rounds, {
    script: async () => {
      await bench.forget(bench.host)
      samples.add(`etcdctl, bridge, ip × ${peers}`, await script.run())
    },
    tweed: async () => {
      const { deviceMs, firstRouteMs, lastRouteMs } = await coldStart(bench, watch, peers)
      samples.add(`tweed × ${peers}`, lastRouteMs)
      samples.add(`tweed × ${peers}: until the device is made`, deviceMs)
      samples.add(`tweed × ${peers}: until the first route`, firstRouteMs)
    },
  })
  await watch.stop()
}

const profile = async (bench: BenchLab, peers: number): Promise<readonly string[]> => {
  const watch = await RowWatch.start(bench.host.netns, ['route', 'link', 'neigh'])
  const taken = await profileOf(bench, async () => {
    const times = await coldStart(bench, watch, peers)
    const { agent } = bench.host
    await agent?.log(/"agent.ready"/)
    return times
  })
  await watch.stop()
  const { deviceMs, firstRowMs, firstRouteMs, lastRouteMs } = taken.result
  return [
    `profiled × ${peers}, ms since the process was started: device ${deviceMs.toFixed()}, first FDB entry ` +
      `${firstRowMs.toFixed()}, first route ${firstRouteMs.toFixed()}, last route ${lastRouteMs.toFixed()}`,
    ...taken.lines,
  ]
}

const charts = async (given: Given, sizes: readonly number[], samples: Samples) => {
  const script = (peers: number) => median(samples.of(`etcdctl, bridge, ip × ${peers}`))
  const tweed = (peers: number, until = '') => median(samples.of(`tweed × ${peers}${until}`))
  const most = Math.max(...sizes)
  await writeChart('cold-start', given, [
    barChart({
      title: `From the start of the process to the last route of ${most} peers`,
      unit: 'ms',
      bars: [
        { label: 'etcdctl + bridge -batch + ip -batch', parts: [{ label: 'all', value: script(most) }] },
        {
          label: 'tweed agent',
          parts: [
            { label: 'to the device', value: tweed(most, ': until the device is made') },
            {
              label: 'to the first route',
              value: tweed(most, ': until the first route') - tweed(most, ': until the device is made'),
            },
            { label: 'to the last route', value: tweed(most) - tweed(most, ': until the first route') },
          ],
        },
      ],
    }),
  ])
  if (sizes.length > 1)
    await writeChart('cold-start-by-peers', given, [
      lineChart({
        title: 'Cold start by the number of peers',
        unit: 'ms',
        x: 'peers',
        lines: [
          { label: 'tweed agent', points: sizes.map((peers) => [peers, tweed(peers)] as const) },
          { label: 'etcdctl + -batch', points: sizes.map((peers) => [peers, script(peers)] as const) },
        ],
      }),
    ])
}

export const coldStartBench: Bench = {
  name: 'cold-start',
  about: 'start of the process to the last route, on a host that has never had an agent (eager)',
  yardstick:
    '`etcdctl get --prefix`, `bridge -batch` and `ip -batch` of the same entries, as whole processes',
  parameters: { rounds: '7', sizes: '100,1000,5000,10000', profile: 'yes', charts: '' },
  run: async (given) => {
    const sizes = numbersOf(given, 'sizes').toSorted((a, b) => a - b)
    const samples = new Samples()
    const bench = await BenchLab.create()
    const notes: string[] = []
    let there = 0
    for (const peers of sizes) {
      given.say(`${peers} peers`)
      await bench.putPeers(peers - there, { from: there })
      there = peers
      await measure(bench, peers, numberOf(given, 'rounds'), samples)
    }
    if (given.parameters['profile'] === 'yes') notes.push(...(await profile(bench, there)))
    await bench.destroy()
    await charts(given, sizes, samples)
    return {
      figures: samples.figures('ms').concat(sizes.length === 0 ? [figure('none', 'ms', [])] : []),
      ratios: sizes.map((peers) =>
        ratio(
          `× ${peers}: times as long as the programs`,
          samples.of(`tweed × ${peers}`),
          samples.of(`etcdctl, bridge, ip × ${peers}`),
          peers >= 10_000 ? { atMost: 2 } : undefined,
        ),
      ),
      notes,
    }
  },
}
