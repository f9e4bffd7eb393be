import {
  against,
  type Bench,
  type Figure,
  inTurn,
  numberOf,
  ratio,
  type Ratio,
  Samples,
} from '../support/bench.ts'
import { answered, PacketLab, type Responder } from '../support/packet-lab.ts'
import { profileOf } from '../support/profile.ts'
import { quantile } from '../support/statistics.ts'

const shares = { p50: 0.5, p90: 0.9, p99: 0.99 } as const

export const addQuantiles = (samples: Samples, name: string, times: readonly number[]): void => {
  for (const [label, share] of Object.entries(shares))
    samples.add(`${name}: ${label}`, quantile(times, share))
  samples.add(`${name}: max`, Math.max(...times))
}

const names: Readonly<Record<Responder, string>> = {
  c2: 'C (asked address and FDB)',
  c4: 'C (the four rows of tweed)',
  tweed: 'tweed',
}

/** Which ones were slow: all at the beginning, or now and then? */
const slowestOf = (name: string, times: readonly (number | undefined)[]): string => {
  const numbered = times.map((us, i) => ({ i, ms: (us ?? Number.NaN) / 1000 })).filter(({ ms }) => ms > 2)
  const some = numbered.slice(0, 20).map(({ i, ms }) => `#${i} ${ms.toFixed(1)}`)
  return `${name}: ${numbered.length} of ${times.length} over 2 ms: ${some.join(', ')}${numbered.length > 20 ? ', …' : ''}`
}

const ratiosOf = (samples: Samples): readonly Ratio[] => {
  const of = (name: string, label: string) => samples.of(`${name}: ${label}`)
  return (['p50', 'p99'] as const).flatMap((label) => [
    ratio(`${label}: times C`, of('tweed', label), of(names.c2, label), { atMost: 1.7 }),
    ratio(`${label}: times C, once warmed up`, of('tweed, next thousand', label), of(names.c2, label)),
    ratio(`${label}: times C with the same four rows`, of('tweed', label), of(names.c4, label)),
    ratio(`${label}: times the warm round trip`, of('tweed', label), of('warm', label)),
  ])
}

export const firstPacket: Bench = {
  name: 'first-packet',
  about: 'on-miss: round trip of the first packet to distinct hosts, one every 5 ms, from a container',
  yardstick: 'a C responder that answers the same message from a table, and the warm round trip',
  parameters: { rounds: '7', destinations: '1000', 'interval-us': '5000' },
  run: async (given) => {
    const count = numberOf(given, 'destinations')
    const intervalUs = numberOf(given, 'interval-us')
    const samples = new Samples()
    const lost: number[] = []
    const lab = await PacketLab.create(2 * count)
    const contender = (responder: Responder) => async (round: number) => {
      given.say(`round ${round + 1}: ${names[responder]}`)
      await lab.begin(responder)
      const first = await lab.probe(count, 0, { intervalUs })
      addQuantiles(samples, names[responder], answered(first))
      lost.push(count - answered(first).length)
      if (responder !== 'tweed') return
      addQuantiles(samples, 'warm', answered(await lab.probe(count, 0, { intervalUs })))
      const next = await lab.probe(count, count, { intervalUs })
      addQuantiles(samples, 'tweed, next thousand', answered(next))
      lost.push(count - answered(next).length)
    }
    await inTurn(numberOf(given, 'rounds'), {
      tweed: contender('tweed'),
      c2: contender('c2'),
      c4: contender('c4'),
    })
    given.say('profile')
    const profile = await profileOf(lab.bench, async () => {
      await lab.begin('tweed')
      const first = await lab.probe(count, 0, { intervalUs })
      return { first, next: await lab.probe(count, count, { intervalUs }) }
    })
    await lab.destroy()
    const figures: readonly Figure[] = samples.figures('µs')
    return {
      figures,
      ratios: [...ratiosOf(samples), against('lost', [lost.reduce((a, b) => a + b, 0)], { atMost: 0 })],
      notes: [
        'tweed is an agent that has come to rest after its start and answers its first misses; "next thousand" is the same agent later.',
        slowestOf('profiled, the first thousand', profile.result.first),
        slowestOf('profiled, the next thousand', profile.result.next),
        ...profile.lines,
      ],
    }
  },
}
