import { writeFile } from 'node:fs/promises'
import { against, type Bench, figure, inTurn, numberOf, ratio, Samples } from '../support/bench.ts'
import { prefix } from '../support/bench-lab.ts'
import { answered, PacketLab } from '../support/packet-lab.ts'
import { batchLine, numbers, recordOf } from '../support/peers.ts'
import { profileOf } from '../support/profile.ts'
import { nowMs, RowWatch } from '../support/row-watch.ts'
import { isAtRest, pause } from '../support/wait.ts'
import { addQuantiles } from './first-packet.ts'

interface Load {
  readonly peers: number
  readonly from: number
  readonly perSecond: number
  /** How many leases are put at once. */
  readonly burst: number
}

/** Gives every peer in use another MAC, again and again, until it is told to stop. */
const changeMacs = (lab: PacketLab, { peers, from, perSecond, burst }: Load) => {
  const stopping = new AbortController()
  const goesOn = () => !stopping.signal.aborted
  let generation = 0
  let changed = 0
  const working = (async () => {
    const start = nowMs()
    while (goesOn()) {
      generation = (generation % 200) + 1
      for (let i = 0; goesOn() && i < peers; i += burst) {
        const some = numbers(Math.min(burst, peers - i), from + i)
        await lab.bench.put(some.map((n) => recordOf(prefix, n, generation)))
        changed += some.length
        await pause(Math.max(0, start + (changed / perSecond) * 1000 - nowMs()))
      }
    }
  })()
  return {
    stop: async () => {
      stopping.abort()
      await working
      return changed
    },
  }
}

export const firstPacketLoaded: Bench = {
  name: 'first-packet-loaded',
  about: 'on-miss: the first packets while all peers in use get another MAC, over and over',
  yardstick: 'the same agent with the same peers, idle',
  parameters: {
    rounds: '5',
    peers: '10000',
    'per-second': '2000',
    burst: '1000',
    destinations: '1000',
    'interval-us': '5000',
  },
  run: async (given) => {
    const [busy, count] = [numberOf(given, 'peers'), numberOf(given, 'destinations')]
    const intervalUs = numberOf(given, 'interval-us')
    const load = {
      peers: busy,
      from: count,
      perSecond: numberOf(given, 'per-second'),
      burst: numberOf(given, 'burst'),
    }
    const samples = new Samples()
    const lost: number[] = []
    const written: number[] = []
    const changed: number[] = []
    // Destinations are the first peers, those in use the others: a C table numbers them in the same way.
    const lab = await PacketLab.create(count + busy)
    const { host } = lab.bench
    const watch = await RowWatch.start(host.netns, ['neigh'])
    const routes = numbers(busy, count).map((i) => batchLine('route', 'add', i, 'tweed.1'))
    await writeFile('/run/routes-in-use', routes.join('\n') + '\n')
    /** A restarted agent takes a host whose route stands for one that is in use. */
    const begin = async () => {
      await lab.begin('tweed')
      await host.agent?.kill('SIGKILL')
      await host.exec('ip', '-batch', '/run/routes-in-use')
      await host.startAgent()
      await isAtRest(host, count + busy)
    }
    const probe = async (name: string) => {
      const times = await lab.probe(count, 0, { intervalUs })
      addQuantiles(samples, name, answered(times))
      lost.push(count - answered(times).length)
    }
    await inTurn(numberOf(given, 'rounds'), {
      idle: async (round) => {
        given.say(`round ${round + 1}: idle`)
        await begin()
        await pause(1000)
        await probe('idle')
      },
      loaded: async (round) => {
        given.say(`round ${round + 1}: loaded`)
        await begin()
        const changing = changeMacs(lab, load)
        await pause(1000)
        await watch.target(0)
        await probe('loaded')
        const { neighAdded, fdbAdded } = await watch.report()
        written.push(neighAdded.count + fdbAdded.count)
        changed.push(await changing.stop())
        await lab.bench.putPeers(busy, { from: count }) // as `begin` expects them
      },
    })
    given.say('profile')
    const profile = await profileOf(lab.bench, async () => {
      await begin()
      const changing = changeMacs(lab, load)
      await lab.probe(count, 0, { intervalUs })
      await changing.stop()
    })
    await watch.stop()
    await lab.destroy()
    return {
      figures: [
        ...samples.figures('µs'),
        figure('rows written while probing', '', written),
        figure('leases put meanwhile', '', changed),
      ],
      ratios: [
        ratio('p99: times idle', samples.of('loaded: p99'), samples.of('idle: p99'), { atMost: 5 }),
        ratio('p50: times idle', samples.of('loaded: p50'), samples.of('idle: p50')),
        against('lost', [lost.reduce((a, b) => a + b, 0)], { atMost: 0 }),
      ],
      notes: ['profiled, the start and the load:', ...profile.lines],
    }
  },
}
