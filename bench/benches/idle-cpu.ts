import { against, type Bench, figure, numberOf } from '../support/bench.ts'
import { BenchLab } from '../support/bench-lab.ts'
import { cpuMs } from '../support/machine.ts'
import { nowMs } from '../support/row-watch.ts'
import { knows, pause } from '../support/wait.ts'

export const idleCpu: Bench = {
  name: 'idle-cpu',
  about: 'CPU time of an agent with all peers and nothing to do, with everything that it does by the clock',
  yardstick: 'a core',
  parameters: { peers: '10000', seconds: '60', rounds: '5', resolve: 'eager' },
  run: async (given) => {
    const bench = await BenchLab.create({ agentFlags: ['--resolve', given.parameters['resolve'] ?? 'eager'] })
    const peers = numberOf(given, 'peers')
    await bench.putPeers(peers)
    const agent = await bench.host.startAgent()
    await knows(bench.host, peers)
    await pause(5000) // the last collections and writes of the start
    const shares: number[] = []
    for (let round = 0; round < numberOf(given, 'rounds'); round++) {
      const [start, used] = [nowMs(), cpuMs(agent.pid)]
      await pause(numberOf(given, 'seconds') * 1000)
      shares.push(((cpuMs(agent.pid) - used) / (nowMs() - start)) * 100)
    }
    await bench.destroy()
    return {
      figures: [figure('CPU', '% of a core', shares)],
      ratios: [
        against('% of a core, mean of all', [shares.reduce((a, b) => a + b, 0) / shares.length], {
          atMost: 0.3,
        }),
      ],
      notes: ['Five rounds of a minute hold one comparison with the kernel (--resync, 5 min by default).'],
    }
  },
}
