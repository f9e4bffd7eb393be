import type { Container } from '../container.ts'
import { type Daemon, eventually } from '../process.ts'

const answer = /bytes from .*icmp_seq=(\d+) /
const intervalMs = 20

/** From one container to another, without end. */
class EndlessPing {
  readonly from: Container
  readonly to: Container
  readonly #ping: Daemon
  readonly #answered = new Set<number>()
  #read = 0
  #last = 0

  constructor(from: Container, to: Container) {
    this.from = from
    this.to = to
    this.#ping = from.netns.start('ping', '-n', '-i', String(intervalMs / 1000), to.address)
  }

  /** Sequence number of the newest answer. */
  get last(): number {
    for (; this.#read < this.#ping.lines.length; this.#read++) {
      const seq = Number(answer.exec(this.#ping.lines[this.#read] ?? '')?.[1] ?? 0)
      if (seq === 0) continue
      this.#answered.add(seq)
      this.#last = Math.max(this.#last, seq)
    }
    return this.#last
  }

  /** Resolves with the newest answer to something sent from now on, or undefined where none comes. */
  async fresh(): Promise<number | undefined> {
    const before = this.last
    const two = () => (this.last > before + 1 ? this.last : undefined)
    return eventually('an answer', two, 5000).catch(() => undefined)
  }

  missing(from: number, to: number): readonly number[] {
    return Array.from({ length: to - from }, (_, i) => from + 1 + i).filter((seq) => !this.#answered.has(seq))
  }

  async stop(): Promise<void> {
    await this.#ping.kill('SIGINT')
  }
}

/** Where each stream stood at a moment. */
export type Mark = ReadonlyMap<object, number>

/** Continuous pings between all containers in all directions, every 20 ms, by one process for each pair. */
export class PingMesh {
  readonly #pings: readonly EndlessPing[]

  private constructor(pings: readonly EndlessPing[]) {
    this.#pings = pings
  }

  /** Resolves when all are answered. */
  static async start(containers: readonly Container[]): Promise<PingMesh> {
    const pairs = containers.flatMap((from) =>
      containers.flatMap((to) => (from === to ? [] : [{ from, to }])),
    )
    const mesh = new PingMesh(pairs.map(({ from, to }) => new EndlessPing(from, to)))
    await Promise.all(
      mesh.#pings.map((ping) => eventually('the first answer', () => (ping.last > 0 ? true : undefined))),
    )
    return mesh
  }

  mark(): Mark {
    return new Map(this.#pings.map((ping) => [ping, ping.last]))
  }

  /** What was lost between the mark and now, in words; empty when nothing was. */
  async losses(since: Mark): Promise<readonly string[]> {
    const told = await Promise.all(
      this.#pings.map(async (ping) => {
        const way = `${ping.from.netns.name} -> ${ping.to.netns.name}`
        const now = await ping.fresh()
        if (now === undefined) return `${way}: silent since packet ${ping.last}`
        const lost = ping.missing(since.get(ping) ?? 0, now)
        return lost.length > 0 ? `${way}: lost ${lost.length}, the first is packet ${lost[0] ?? 0}` : ''
      }),
    )
    return told.filter((text) => text !== '')
  }

  async stop(): Promise<void> {
    await Promise.all(this.#pings.map((ping) => ping.stop()))
  }
}
