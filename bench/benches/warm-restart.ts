import type { Host } from '../../test/support/host.ts'
import { against, type Bench, figure, numberOf, ratio, Samples } from '../support/bench.ts'
import { BenchLab } from '../support/bench-lab.ts'
import { profileOf } from '../support/profile.ts'
import { nowMs, RowWatch } from '../support/row-watch.ts'
import { knows } from '../support/wait.ts'
import { countingWrites, writesCounted } from '../support/write-count.ts'
import { coldStart } from './cold-start.ts'

/** Milliseconds until the agent says that everything is read and in place. */
const restart = async (host: Host): Promise<number> => {
  const start = nowMs()
  const agent = await host.startAgent()
  await agent.log(/"agent.ready"/)
  return nowMs() - start
}

export const warmRestart: Bench = {
  name: 'warm-restart',
  about: 'kill -9 and start again, with all peers in place: time until ready, and what is written',
  yardstick: 'the cold start',
  parameters: { rounds: '5', peers: '10000' },
  run: async (given) => {
    const peers = numberOf(given, 'peers')
    const times = new Samples()
    const kernelWrites: number[] = []
    const etcdWrites: number[] = []
    const names = new Set<string>()
    const bench = await BenchLab.create()
    await bench.putPeers(peers)
    const watch = await RowWatch.start(bench.host.netns, ['route', 'link'])
    for (let round = 0; round < numberOf(given, 'rounds'); round++) {
      given.say(`round ${round + 1}`)
      times.add('cold start, to the last route', (await coldStart(bench, watch, peers)).lastRouteMs)
      await knows(bench.host, peers)
      await bench.host.agent?.kill('SIGKILL')
      const revision = await bench.lab.etcdRevision()
      times.add('warm restart, to ready', await countingWrites(() => restart(bench.host)))
      await knows(bench.host, peers)
      const counted = await writesCounted()
      kernelWrites.push([...counted.values()].reduce((a, b) => a + b, 0))
      for (const name of counted.keys()) names.add(name)
      etcdWrites.push((await bench.lab.etcdRevision()) - revision)
    }
    await bench.host.agent?.kill('SIGKILL')
    const profile = await profileOf(bench, () => restart(bench.host))
    await watch.stop()
    await bench.destroy()
    return {
      figures: [
        ...times.figures('ms'),
        figure('messages to the kernel that write', '', kernelWrites),
        figure('revisions written to etcd', '', etcdWrites),
      ],
      ratios: [
        ratio(
          'warm restart: share of a cold start',
          times.of('warm restart, to ready'),
          times.of('cold start, to the last route'),
          { atMost: 0.6 },
        ),
        against('writes to the kernel', kernelWrites, { atMost: 0 }),
        against('writes to etcd', etcdWrites, { atMost: 0 }),
      ],
      notes: [
        ...(names.size > 0 ? [`written: ${[...names].join(', ')}`] : []),
        `profiled restart × ${peers}: ready after ${profile.result.toFixed()} ms`,
        ...profile.lines,
      ],
    }
  },
}
