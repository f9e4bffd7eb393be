import { writeFile } from 'node:fs/promises'
import { Netns } from '../../test/support/netns.ts'
import { output } from '../../test/support/process.ts'
import {
  type Bench,
  type Given,
  inTurn,
  numberOf,
  numbersOf,
  ratio,
  type Ratio,
  Samples,
} from '../support/bench.ts'
import { Conversation } from '../support/child.ts'
import { batchLine, numbers, type RowKind } from '../support/peers.ts'
import { nowMs } from '../support/row-watch.ts'
import { yardstick } from '../support/yardstick.ts'

const device = 'vx0'
const verbs = ['add', 'del'] as const
type Verb = (typeof verbs)[number]
interface Case {
  readonly kind: RowKind
  readonly count: number
}

/** The ten thousandth route with a next hop of its own takes the kernel a hundred times as long as the first. */
const quadratic = (one: Case) => one.kind === 'route' && one.count > 10_000

const addDevice = async (): Promise<Netns> => {
  const netns = await Netns.add('bulk')
  await netns.batch([
    'link add eth0 type bridge',
    'addr add 192.0.2.11/24 dev eth0',
    'link set eth0 up',
    `link add ${device} type vxlan id 1 local 192.0.2.11 dev eth0 dstport 8472 nolearning`,
    `addr add 10.250.0.0/32 dev ${device}`,
    `link set ${device} up`,
  ])
  return netns
}

/** By the clock, and of the processor: the share of a busy machine that a program gets is not in that. */
interface Took {
  readonly ms: number
  readonly cpuMs: number
  readonly refused: number
}

const runByC = async (
  netns: Netns,
  { kind, count }: Case,
  verb: Verb,
  pack: number,
  hear = false,
): Promise<Took> => {
  const parameters = [device, kind, verb, String(count), String(pack), ...(hear ? ['0', 'hear'] : [])]
  const argv = netns.wrap([await yardstick('bulk'), ...parameters])
  const took = JSON.parse(await output(argv)) as Took
  if (took.refused > 0)
    throw new Error(`${kind} ${verb}: the kernel refused ${took.refused} of the C program`)
  return took
}

const runByTweed = async (program: Conversation, { kind, count }: Case, verb: Verb): Promise<Took> => {
  const took = JSON.parse(await program.ask(`${verb} ${kind} ${count}`)) as Took
  if (took.refused > 0) throw new Error(`${kind} ${verb}: the kernel refused ${took.refused} of tweed`)
  return took
}

const runByBatch = async (netns: Netns, { kind, count }: Case, verb: Verb): Promise<number> => {
  const file = `/run/bulk-${kind}-${verb}-${count}`
  await writeFile(
    file,
    numbers(count)
      .map((i) => batchLine(kind, verb, i, device) + '\n')
      .join(''),
  )
  const program = kind === 'fdb' ? 'bridge' : 'ip'
  const before = nowMs()
  await output([program, '-n', netns.name, '-batch', file])
  return nowMs() - before
}

const startTweed = async (netns: Netns): Promise<Conversation> => {
  const [link] = JSON.parse(await netns.ip('-j', 'link', 'show', device)) as { ifindex: number }[]
  const program = new URL('../programs/write-rows.ts', import.meta.url).pathname
  const argv = [process.execPath, '--import', 'tsx', program, String(link?.ifindex)]
  const tweed = new Conversation(netns.wrap(argv))
  await tweed.next()
  return tweed
}

const measure = async (netns: Netns, one: Case, given: Given, samples: Samples) => {
  const rounds = quadratic(one) ? 1 : numberOf(given, 'rounds')
  const pack = numberOf(given, 'pack')
  const name = (who: string, verb: Verb) => `${who}: ${one.kind} ${verb} × ${one.count}`
  const add = (who: string, verb: Verb, { ms, cpuMs }: Took) => {
    samples.add(name(who, verb), ms)
    samples.add(name(`${who}, processor`, verb), cpuMs)
  }
  await inTurn(rounds, {
    c: async () => {
      for (const verb of verbs) add('C', verb, await runByC(netns, one, verb, pack))
    },
    // vxlan says nothing of who wrote: an agent has to hear of its own FDB entries (decision 27).
    ...(one.kind === 'fdb' && {
      cHears: async () => {
        for (const verb of verbs) add('C that hears', verb, await runByC(netns, one, verb, pack, true))
      },
    }),
    tweed: async () => {
      const tweed = await startTweed(netns) // a new one each round: what an agent writes first, it writes uncompiled
      for (const verb of verbs) add('tweed', verb, await runByTweed(tweed, one, verb))
      await tweed.stop()
    },
    batch: async () => {
      for (const verb of verbs) samples.add(name('batch', verb), await runByBatch(netns, one, verb))
    },
  })
  return verbs.flatMap((verb): Ratio[] => {
    const of = (who: string) => samples.of(name(who, verb))
    const what = `${one.kind} ${verb} × ${one.count}`
    const bar = { atLeast: 0.6 }
    return [
      ratio(
        `${what}: rate of C that tweed reaches`,
        of('C'),
        of('tweed'),
        one.count >= 10_000 ? bar : undefined,
      ),
      ...(one.kind === 'fdb'
        ? [ratio(`${what}: rate of a C program that hears its own writes`, of('C that hears'), of('tweed'))]
        : []),
      ratio(`${what}: the same by the processor's time`, of('C, processor'), of('tweed, processor')),
      ratio(`${what}: times as fast as -batch`, of('batch'), of('tweed'), { atLeast: 2.5 }),
    ]
  })
}

export const bulk: Bench = {
  name: 'bulk',
  about: 'neighbours, FDB entries and routes, all added and then all deleted',
  yardstick: 'a C program that sends the same packed messages, and `ip -batch` or `bridge -batch`',
  parameters: { rounds: '5', sizes: '1000,10000,50000', kinds: 'neigh,fdb,route32,route', pack: '256' },
  run: async (given) => {
    const netns = await addDevice()
    const samples = new Samples()
    const ratios: Ratio[] = []
    for (const kind of (given.parameters['kinds'] ?? '').split(',') as RowKind[])
      for (const count of numbersOf(given, 'sizes')) {
        given.say(`${kind} × ${count}`)
        ratios.push(...(await measure(netns, { kind, count }, given, samples)))
      }
    await netns.remove()
    return {
      figures: samples.figures('ms'),
      ratios,
      notes: [
        'route: /24 with a next hop of its own, as an agent writes them; route32: /32 with one next hop for all.',
        'tweed is the tracker and the writer in a process of their own that has written nothing before.',
      ],
    }
  },
}
