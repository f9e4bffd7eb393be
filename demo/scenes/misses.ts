import { MissWatch, type AnsweredMiss } from '../miss-watch.ts'
import { heading, median, millis, promised, say, table } from '../show.ts'
import type { Place, Stage } from '../story.ts'
import type { Pair } from './traffic.ts'

/** Listens to the misses of all hosts while `work` runs. */
export const watchingMisses = async <T>(
  { lab }: Stage,
  work: () => Promise<T>,
): Promise<{ readonly result: T; readonly answered: readonly AnsweredMiss[] }> => {
  const watches = await Promise.all(lab.hosts.map((host) => MissWatch.start(host)))
  const result = await work()
  const answered = await Promise.all(watches.map((watch) => watch.stop()))
  return { result, answered: answered.flat() }
}

const rttLine = (what: string, rttsMs: readonly number[]) => {
  say(`${what.padEnd(42)} median ${millis(median(rttsMs))}, worst ${millis(Math.max(...rttsMs))}`)
}

/** How the misses were answered: as the kernels reported it, as the agents count it, and for the packets. */
export const misses = async (
  { lab }: Stage,
  pairs: readonly Pair[],
  answered: readonly AnsweredMiss[],
): Promise<void> => {
  heading('Who answered which miss, and how fast')
  const owners = await macsOf(lab.hosts)
  const miss = (host: Place['host'], asked: string) => {
    const found = answered.find((one) => one.host === host && one.asked === asked)
    if (!found) return 'none'
    return `${host.name}: ${asked} is at ${found.mac ?? '?'} (${owners.get(found.mac ?? '') ?? '?'})`
  }
  const between = pairs.filter(({ from, to }) => from.host !== to.host)
  const firsts = between.filter((pair) => pair.isFirst)
  table([
    [
      'FIRST PING',
      'MISS ON ITS WAY, ANSWERED BY THE AGENT ON',
      'MISS OF THE REPLY, ANSWERED BY',
      'THERE AND BACK',
    ],
    ...firsts.map(({ from, to, result }) => [
      `${from.name} to ${to.name}`,
      miss(from.host, to.container.address),
      miss(to.host, from.container.address),
      millis(result.rttsMs[0] ?? NaN),
    ]),
  ])
  say()
  say('An answer brings the rows for a whole host: its other containers are never asked for.')
  say()
  rttLine(
    'first packet, with two misses on its way',
    firsts.flatMap(({ result }) => result.rttsMs.slice(0, 1)),
  )
  rttLine(
    'later packets',
    between.flatMap(({ result }) => result.rttsMs.slice(1)),
  )
  say()
  const statuses = await Promise.all(lab.hosts.map((host) => host.status()))
  const promotions = statuses.reduce((sum, { misses }) => sum + misses.promoted, 0)
  const expected = lab.hosts.length * (lab.hosts.length - 1)
  promised(
    `${promotions} answers brought a host: each of the three hosts, its two peers`,
    promotions === expected,
  )
  const withAnswer = answered.filter(({ mac }) => mac !== undefined).length
  promised(`${withAnswer} of the ${answered.length} misses were answered`, withAnswer === answered.length)
}

const macsOf = async (hosts: Stage['lab']['hosts']): Promise<ReadonlyMap<string, string>> =>
  new Map(
    await Promise.all(
      hosts.map(async (host) => {
        const [link] = JSON.parse(await host.netns.ip('-j', 'link', 'show', 'tweed.1')) as {
          address: string
        }[]
        return [link?.address ?? '', host.name] as const
      }),
    ),
  )
