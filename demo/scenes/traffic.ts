import type { PingResult } from '../../test/support/ping.ts'
import { heading, millis, progress, promised, say, table } from '../show.ts'
import type { Place, Stage } from '../story.ts'

export interface Pair {
  readonly from: Place
  readonly to: Place
  readonly result: PingResult
  /** The first packet between these two hosts, in either direction: no row was there for it. */
  readonly isFirst: boolean
}

const pingAll = async (places: readonly Place[]): Promise<readonly Pair[]> => {
  const met = new Set<string>()
  const done: Pair[] = []
  for (const from of places) {
    for (const to of places) {
      if (from === to) continue
      const hosts = [from.host.name, to.host.name].sort().join()
      const isFirst = from.host !== to.host && !met.has(hosts)
      met.add(hosts)
      const result = await from.container.ping(to.container.address, { count: 3, intervalMs: 20 })
      done.push({ from, to, result, isFirst })
    }
  }
  return done
}

/** Every container to every other, with the time of the first packet. */
export const traffic = async ({ lab, places }: Stage): Promise<readonly Pair[]> => {
  heading('Every container pings every other')
  const before = await lab.host(1).tables()
  say(`Before the first packet ${lab.host(1).name} has ${before.fdb.length} FDB entries: the agents run with`)
  say('--resolve on-miss, and nobody has asked yet.')
  say()
  const pairs = await progress('30 pairs, three packets each', pingAll(places))
  say()
  say('Round-trip time of the first packet. With *, it met empty tables on both hosts: two misses answered.')
  say()
  const cell = (from: Place, to: Place) => {
    const pair = pairs.find((one) => one.from === from && one.to === to)
    if (!pair) return '-'
    const [first] = pair.result.rttsMs
    return first === undefined ? 'LOST' : `${millis(first)}${pair.isFirst ? ' *' : ''}`
  }
  table([
    ['FROM \\ TO', ...places.map((to) => to.name)],
    ...places.map((from) => [from.name, ...places.map((to) => cell(from, to))]),
  ])
  say()
  const sent = pairs.reduce((sum, { result }) => sum + result.sent, 0)
  const lost = sent - pairs.reduce((sum, { result }) => sum + result.received, 0)
  promised(`${lost} of ${sent} packets lost, the first ones included`, lost === 0)
  return pairs
}
