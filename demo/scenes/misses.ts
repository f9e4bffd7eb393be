import { MissWatch, type AnsweredMiss } from '../miss-watch.ts'
import { heading, median, millis, promised, say, table } from '../show.ts'
import type { Stage } from '../story.ts'
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

/** How the misses were answered: as the kernel reported it, in the agents' counters, and for the packets. */
export const misses = async (
  { lab, places }: Stage,
  pairs: readonly Pair[],
  answered: readonly AnsweredMiss[],
): Promise<void> => {
  heading('Who answered which miss, and how fast')
  const macs = await macsOf(lab.hosts)
  table([
    ['HOST', 'ITS KERNEL ASKED FOR', 'ITS AGENT ANSWERED', 'AFTER'],
    ...answered.map(({ host, asked, answer }) => [
      host.name,
      `${asked} (${places.find((place) => place.container.address === asked)?.name ?? '?'})`,
      answer ? `${answer.mac} (${macs.get(answer.mac) ?? '?'})` : 'nothing',
      answer ? millis(answer.afterMs) : '-',
    ]),
  ])
  say()
  say('An answer brings the rows for the whole host: its other container was never asked for.')
  say()
  const between = pairs.filter(({ from, to }) => from.host !== to.host)
  const firsts = between.filter((pair) => pair.isFirst)
  const warm = between.flatMap(({ result }) => result.rttsMs.slice(1))
  rttLine(
    'first packet, with a miss on both hosts',
    firsts.flatMap(({ result }) => result.rttsMs.slice(0, 1)),
  )
  rttLine('later packets', warm)
  say()
  const statuses = await Promise.all(lab.hosts.map((host) => host.status()))
  const promotions = statuses.reduce((sum, { misses }) => sum + misses.promoted, 0)
  const expected = lab.hosts.length * (lab.hosts.length - 1)
  promised(
    `${promotions} hosts were promoted: by each host, each of its two peers, once`,
    promotions === expected,
  )
  promised(
    `${answered.filter((miss) => miss.answer).length} of ${answered.length} misses answered`,
    answered.every((miss) => miss.answer),
  )
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
