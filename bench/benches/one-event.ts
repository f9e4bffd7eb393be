import type { Host } from '../../test/support/host.ts'
import { type Bench, inTurn, numberOf, numbersOf, ratio, Samples } from '../support/bench.ts'
import { BenchLab } from '../support/bench-lab.ts'
import { lineChart, writeChart } from '../support/chart.ts'
import { benchConfig, recordOf } from '../support/peers.ts'
import { nowMs, RowWatch } from '../support/row-watch.ts'
import { median } from '../support/statistics.ts'
import { knows, pause, reachedBy } from '../support/wait.ts'
import { yardstick } from '../support/yardstick.ts'

/** The kernel's own share: it looks for an equal next hop among all of the device's. */
const kernelAlone = async (host: Host, peers: number): Promise<readonly number[]> => {
  await host.agent?.kill('SIGKILL')
  const times: number[] = []
  const bulk = await yardstick('bulk')
  for (let i = 0; i < 20; i++)
    for (const verb of ['add', 'del']) {
      const printed = await host.exec(bulk, 'tweed.1', 'route', verb, '1', '1', String(peers))
      if (verb === 'add') times.push((JSON.parse(printed) as { ms: number }).ms)
    }
  return times
}

/** One agent for each size, all at once and each with a prefix of its own, so that they are measured in turn. */
export const oneEvent: Bench = {
  name: 'one-event',
  about: 'one new lease: from its put to its route, by the number of peers that are there',
  yardstick: 'the smallest number of peers, and the kernel alone adding the same route',
  parameters: { rounds: '50', sizes: '100,1000,10000', charts: '' },
  run: async (given) => {
    const sizes = numbersOf(given, 'sizes').toSorted((a, b) => a - b)
    const samples = new Samples()
    const bench = await BenchLab.create({ hosts: sizes.length, agentFlags: ['--hold', '0s'] })
    const contenders: Record<string, (round: number) => Promise<void>> = {}
    for (const [i, peers] of sizes.entries()) {
      given.say(`${peers} peers`)
      const host = bench.lab.host(i + 1)
      const prefix = `/bench/${peers}`
      await bench.etcd.put(`${prefix}/config`).value(JSON.stringify(benchConfig))
      await bench.putPeers(peers, { prefix })
      const agent = await host.startAgent(['--etcd-prefix', prefix])
      await knows(host, peers)
      const watch = await RowWatch.start(host.netns)
      const { key, value } = recordOf(prefix, peers)
      contenders[String(peers)] = async () => {
        await watch.target(1)
        const before = nowMs()
        await bench.etcd.put(key).value(value)
        const put = nowMs()
        const { routesAdded } = await reachedBy(agent, watch)
        samples.add(`put to route × ${peers}`, routesAdded.lastMs - before)
        samples.add(`etcd's answer to the put × ${peers}`, put - before)
        await watch.target(1)
        await bench.etcd.delete().key(key)
        await reachedBy(agent, watch)
        await pause(50)
      }
    }
    await inTurn(5, contenders) // compiled before it is timed
    samples.clear()
    given.say('measuring')
    await inTurn(numberOf(given, 'rounds'), contenders)
    for (const [i, peers] of sizes.entries())
      for (const ms of await kernelAlone(bench.lab.host(i + 1), peers))
        samples.add(`the kernel alone × ${peers}`, ms)
    await bench.destroy()
    const of = (peers: number) => samples.of(`put to route × ${peers}`)
    const [least = 0] = sizes
    await writeChart('one-event-by-peers', given, [
      lineChart({
        title: 'One lease event by the number of peers',
        unit: 'ms',
        x: 'peers',
        lines: [{ label: 'put to route', points: sizes.map((peers) => [peers, median(of(peers))] as const) }],
      }),
    ])
    return {
      figures: samples.figures('ms'),
      ratios: sizes
        .slice(1)
        .map((peers) =>
          ratio(
            `× ${peers} against × ${least}`,
            of(peers),
            of(least),
            peers >= 10_000 ? { atMost: 1.3 } : undefined,
          ),
        ),
    }
  },
}
