import { against, type Bench, figure, numberOf, ratio } from '../support/bench.ts'
import { BenchLab, prefix } from '../support/bench-lab.ts'
import { Conversation } from '../support/child.ts'
import { residentKiB } from '../support/machine.ts'
import { numbers, recordOf } from '../support/peers.ts'
import { nowMs } from '../support/row-watch.ts'
import { knows, pause } from '../support/wait.ts'

const mib = (pid: number): number => residentKiB(pid) / 1024

/** Node with rxjs, etcd3 and netlink loaded, when it has come to rest. */
const bareNode = async (): Promise<number> => {
  const load = `import 'rxjs'; import 'etcd3'; import 'netlink'; setInterval(() => {}, 1e6); console.log('loaded')`
  const node = new Conversation([process.execPath, '--input-type=module', '-e', load])
  await node.next()
  await pause(3000)
  const size = mib(node.pid)
  await node.stop()
  return size
}

/** In MiB per minute, by least squares. */
const slope = (points: readonly (readonly [minute: number, mib: number])[]): number => {
  const mean = (of: (point: readonly [number, number]) => number) =>
    points.reduce((sum, point) => sum + of(point), 0) / points.length
  const x = mean(([minute]) => minute)
  const y = mean(([, size]) => size)
  const top = points.reduce((sum, [minute, size]) => sum + (minute - x) * (size - y), 0)
  const bottom = points.reduce((sum, [minute]) => sum + (minute - x) ** 2, 0)
  return bottom === 0 ? 0 : top / bottom
}

export const memory: Bench = {
  name: 'memory',
  about: 'resident memory with all peers, at rest and under churn: 100 leases a second get another MAC',
  yardstick: 'bare Node with rxjs, etcd3 and netlink loaded',
  parameters: { peers: '10000', minutes: '1', 'per-second': '100', rounds: '3' },
  run: async (given) => {
    const peers = numberOf(given, 'peers')
    const minutes = numberOf(given, 'minutes')
    const perSecond = numberOf(given, 'per-second')
    const bare: number[] = []
    for (let i = 0; i < numberOf(given, 'rounds'); i++) bare.push(await bareNode())
    const bench = await BenchLab.create()
    await bench.putPeers(peers)
    const agent = await bench.host.startAgent()
    await knows(bench.host, peers)
    const atReady = mib(agent.pid)
    const points: (readonly [number, number])[] = []
    const start = nowMs()
    let generation = 1
    let next = 0
    for (let minute = 0; minute < minutes; minute = (nowMs() - start) / 60_000) {
      const second = nowMs()
      const chosen = numbers(perSecond).map((i) => (next + i) % peers)
      await bench.put(chosen.map((i) => recordOf(prefix, i, generation)))
      next += perSecond
      if (next >= peers) [next, generation] = [0, (generation % 200) + 1]
      points.push([minute, mib(agent.pid)])
      await pause(Math.max(0, second + 1000 - nowMs()))
    }
    const afterChurn = mib(agent.pid)
    await knows(bench.host, peers)
    await pause(5000)
    const atRest = mib(agent.pid)
    await bench.destroy()
    const late = points.filter(([minute]) => minute >= Math.min(1, minutes / 2))
    const growth = slope(late)
    const sizes = late.map(([, size]) => size)
    return {
      figures: [
        figure('bare Node with the libraries', 'MiB', bare),
        figure('agent, when ready', 'MiB', [atReady]),
        figure(`agent, after ${minutes} min of churn`, 'MiB', [afterChurn]),
        figure('agent, 5 s later', 'MiB', [atRest]),
        figure('agent, while it churns (later samples)', 'MiB', sizes),
        figure('growth while it churns', 'MiB/min', [growth]),
      ],
      ratios: [
        ratio('after churn: times bare Node', [afterChurn], bare, { atMost: 1.5 }),
        ratio('when ready: times bare Node', [atReady], bare),
        ...(minutes >= 5
          ? [
              against('growth in ten minutes, as a share', [(growth * 10) / (sizes[0] ?? 1)], {
                atMost: 0.02,
              }),
            ]
          : []),
      ],
    }
  },
}
