import { against, type Bench, figure, inTurn, numberOf, ratio, Samples } from '../support/bench.ts'
import { neighbourBound, residentKiB } from '../support/machine.ts'
import { answered, PacketLab, type Responder } from '../support/packet-lab.ts'
import { median, quantile } from '../support/statistics.ts'

/** The largest that the resident memory of a process was, sampled every 20 ms. */
const peakMib = (pid: number) => {
  let peak = 0
  const timer = setInterval(() => (peak = Math.max(peak, residentKiB(pid) / 1024)), 20)
  return () => {
    clearInterval(timer)
    return peak
  }
}

export const missStorm: Bench = {
  name: 'miss-storm',
  about: 'on-miss: packets to distinct hosts, all at once, from a container',
  yardstick:
    'a C responder that writes the asked address alone (c2) or the same four rows (c4), and no packet lost',
  parameters: { rounds: '3', destinations: '16384', 'interval-us': '0', 'gc-thresh': '' },
  run: async (given) => {
    const count = numberOf(given, 'destinations')
    const options = { intervalUs: numberOf(given, 'interval-us'), patienceMs: 8000 }
    const samples = new Samples()
    const lost = new Samples()
    const before: number[] = []
    const peak: number[] = []
    const after: number[] = []
    const lab = await PacketLab.create(count)
    const { host } = lab.bench
    const contender = (responder: Responder) => async (round: number) => {
      given.say(`round ${round + 1}: ${responder}`)
      await lab.begin(responder)
      const pid = responder === 'tweed' ? (host.agent?.pid ?? 0) : 0
      const peakOf = pid > 0 ? peakMib(pid) : undefined
      if (pid > 0) before.push(residentKiB(pid) / 1024)
      const times = await lab.probe(count, 0, options)
      const there = answered(times)
      samples.add(`${responder}: p50`, quantile(there, 0.5) / 1000)
      samples.add(`${responder}: p99`, quantile(there, 0.99) / 1000)
      lost.add(`${responder}: lost`, count - there.length)
      if (!peakOf) return
      if (host.agent?.running !== true)
        throw new Error(`the agent ended:\n${host.agent?.logs.slice(-20).join('\n') ?? ''}`)
      peak.push(peakOf())
      after.push(residentKiB(pid) / 1024)
      given.say(JSON.stringify((await host.status()).misses))
    }
    await inTurn(numberOf(given, 'rounds'), {
      tweed: contender('tweed'),
      c2: contender('c2'),
      c4: contender('c4'),
    })
    await lab.destroy()
    return {
      figures: [
        ...samples.figures('ms'),
        ...lost.figures('packets'),
        figure('resident before', 'MiB', before),
        figure('resident at the peak', 'MiB', peak),
        figure('resident afterwards', 'MiB', after),
      ],
      ratios: [
        against('lost by tweed', [median(lost.of('tweed: lost'))], { atMost: 0 }),
        ratio('p99: times C (c2)', samples.of('tweed: p99'), samples.of('c2: p99')),
        ratio('p99: times C with the same rows (c4)', samples.of('tweed: p99'), samples.of('c4: p99')),
        ratio('resident at the peak: times before', peak, before),
      ],
      notes: [
        `gc_thresh3 of this machine: ${neighbourBound()} neighbours that are not permanent, of all namespaces together. ` +
          'A packet to one more destination is dropped by the kernel before anybody is asked; --gc-thresh raises it for the time of the run.',
      ],
    }
  },
}
