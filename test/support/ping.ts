import { Daemon, output, run } from './process.ts'
import type { ProbeOutcome } from './udp.ts'
import type { Netns } from './netns.ts'

export interface PingOptions {
  readonly count?: number
  readonly intervalMs?: number
  /** How long the last answer is awaited. */
  readonly waitMs?: number
}

export interface PingResult {
  readonly sent: number
  readonly received: number
  /** Of the answers, in the order of their sequence numbers. */
  readonly rttsMs: readonly number[]
}

const answer = /^(?:\[(\d+\.\d+)\] )?\d+ bytes from .*icmp_seq=(\d+) .*time=([\d.]+) ms(?!.*DUP!)/
const summary = /^(\d+) packets transmitted, (\d+) received/m

const seconds = (ms: number): string => String(ms / 1000)

/** ICMP echo from `netns`. An answer that doesn't come is a result and not an error. */
export const ping = async (netns: Netns, to: string, options: PingOptions = {}): Promise<PingResult> => {
  const { count = 1, intervalMs = 10, waitMs = 2000 } = options
  const argv = ['ping', '-n', '-c', String(count), '-i', seconds(intervalMs), '-W', seconds(waitMs), to]
  const { stdout, stderr } = await run(netns.wrap(argv))
  const counts = summary.exec(stdout)
  if (!counts) throw new Error(`ping ${to} in ${netns.name}: ${stderr || stdout}`)
  const answers = stdout.split('\n').flatMap((line) => {
    const match = answer.exec(line)
    return match ? [{ seq: Number(match[2]), rttMs: Number(match[3]) }] : []
  })
  // They overtake each other: what waited for a neighbour leaves after what came when it was there.
  const rttsMs = answers.sort((a, b) => a.seq - b.seq).map(({ rttMs }) => rttMs)
  return { sent: Number(counts[1]), received: Number(counts[2]), rttsMs }
}

export interface StreamResult {
  readonly sent: number
  readonly received: number
  readonly lost: number
  /** Longest time between two answers that followed each other. */
  readonly longestGapMs: number
}

/** A ping that goes on in the background until it is stopped. */
export class PingStream {
  readonly #ping: Daemon
  readonly to: string

  private constructor(ping: Daemon, to: string) {
    this.#ping = ping
    this.to = to
  }

  /** Resolves when the first answer is there. */
  static async start(netns: Netns, to: string, intervalMs = 10): Promise<PingStream> {
    const stream = new PingStream(netns.start('ping', '-n', '-D', '-i', seconds(intervalMs), to), to)
    await stream.#ping.line(answer)
    return stream
  }

  get received(): number {
    return this.#answers().length
  }

  /** Resolves at the next answer. */
  async nextAnswer(): Promise<void> {
    await this.#ping.line(answer, this.#ping.lines.length)
  }

  async stop(): Promise<StreamResult> {
    await this.#ping.kill('SIGINT')
    const answers = this.#answers()
    const transmitted = Number(summary.exec(this.#ping.lines.join('\n'))?.[1] ?? 0)
    const last = answers.at(-1)?.seq ?? 0
    // Only the very last packet may have been on its way when the signal came: it isn't counted then.
    const sent = last === transmitted - 1 ? last : transmitted
    const gaps = answers.map((a, i) => (i === 0 ? 0 : a.atMs - (answers[i - 1]?.atMs ?? a.atMs)))
    const received = new Set(answers.map((a) => a.seq)).size
    return { sent, received, lost: sent - received, longestGapMs: Math.max(0, ...gaps) }
  }

  #answers() {
    return this.#ping.lines.flatMap((line) => {
      const match = answer.exec(line)
      return match ? [{ atMs: Number(match[1]) * 1000, seq: Number(match[2]) }] : []
    })
  }
}

const udpProgram = [process.execPath, '--import', 'tsx', new URL('udp.ts', import.meta.url).pathname]
const udpPort = '7' // echo, RFC 862

/** Answers datagrams to any address of the namespace until it is killed. */
export const startEcho = async (netns: Netns): Promise<Daemon> => {
  const echo = netns.start(...udpProgram, 'echo', udpPort)
  await echo.line(/^listening$/)
  return echo
}

export interface FirstPackets {
  readonly sent: number
  readonly received: number
  readonly rttsMs: readonly number[]
  readonly unanswered: readonly string[]
}

/** Sends exactly one datagram to each address, where {@link startEcho} answers, and waits for what comes. */
export const firstPackets = async (
  netns: Netns,
  addresses: readonly string[],
  perSecond = 2000,
): Promise<FirstPackets> => {
  const argv = netns.wrap([...udpProgram, 'probe', udpPort, String(perSecond)])
  const { rttsMs } = JSON.parse(await output(argv, addresses.join('\n'))) as ProbeOutcome
  return {
    sent: addresses.length,
    received: rttsMs.filter((rtt) => rtt !== null).length,
    rttsMs: rttsMs.filter((rtt) => rtt !== null),
    unanswered: addresses.filter((_, i) => rttsMs[i] === null),
  }
}
