import { eventually } from '../../test/support/process.ts'
import { against, type Bench, figure, numberOf, Samples } from '../support/bench.ts'
import { BenchLab, prefix } from '../support/bench-lab.ts'
import { Conversation } from '../support/child.ts'
import { EventWatch } from '../support/event-watch.ts'
import { numbers, recordOf } from '../support/peers.ts'
import { RowWatch } from '../support/row-watch.ts'
import { knows, reachedBy } from '../support/wait.ts'

const putter = (endpoint: string, inFlight: number): Conversation => {
  const program = new URL('../programs/put-records.ts', import.meta.url).pathname
  return new Conversation([process.execPath, '--import', 'tsx', program, endpoint, String(inFlight)])
}

export const churn: Bench = {
  name: 'churn',
  about:
    'new leases at full speed, one put each, beside those that are there: last watch event to last route',
  yardstick: 'the arrival of the last watch event at another watcher',
  parameters: { rounds: '7', peers: '10000', puts: '1000', 'in-flight': '64' },
  run: async (given) => {
    const [peers, puts] = [numberOf(given, 'peers'), numberOf(given, 'puts')]
    const samples = new Samples()
    const datagrams: number[] = []
    const bench = await BenchLab.create({ agentFlags: ['--hold', '0s'] })
    await bench.putPeers(peers)
    const agent = await bench.host.startAgent()
    await knows(bench.host, peers)
    const watch = await RowWatch.start(bench.host.netns)
    const events = await EventWatch.start(bench.etcd)
    const putting = putter(bench.lab.endpoint, numberOf(given, 'in-flight'))
    for (let round = 0; round < numberOf(given, 'rounds'); round++) {
      given.say(`round ${round + 1}`)
      await putting.ask(JSON.stringify(numbers(puts, peers).map((i) => recordOf(prefix, i))))
      await watch.target(puts)
      events.reset()
      const { startMs, endMs } = JSON.parse(await putting.ask('go')) as { startMs: number; endMs: number }
      const { routesAdded } = await reachedBy(agent, watch)
      const { lastMs } = await eventually('all events', () =>
        events.seen.count >= puts ? events.seen : undefined,
      )
      samples.add('all puts', endMs - startMs)
      samples.add('last watch event to last route', Math.max(0, routesAdded.lastMs - lastMs))
      samples.add('last put answered to last route', Math.max(0, routesAdded.lastMs - endMs))
      datagrams.push(routesAdded.count)
      await watch.target(puts)
      await bench.deletePeers(puts, peers)
      await reachedBy(agent, watch)
      await knows(bench.host, peers)
    }
    await putting.stop()
    await events.stop()
    await watch.stop()
    await bench.destroy()
    return {
      figures: [...samples.figures('ms'), figure('routes written', '', datagrams)],
      ratios: [
        against(
          'ms from the last watch event to the last route',
          samples.of('last watch event to last route'),
          {
            atMost: 150,
          },
        ),
      ],
    }
  },
}
