import type { Netns } from '../../test/support/netns.ts'
import { Conversation } from './child.ts'
import { yardstick } from './yardstick.ts'

export interface Tally {
  readonly count: number
  /** Of CLOCK_MONOTONIC, like `performance.now()` of {@link nowMs}; 0 where nothing came. */
  readonly firstMs: number
  readonly lastMs: number
}

/** What the kernel has notified. */
export interface RowReport {
  readonly routesAdded: Tally
  readonly routesRemoved: Tally
  readonly fdbAdded: Tally
  readonly fdbRemoved: Tally
  readonly neighAdded: Tally
  readonly neighRemoved: Tally
  readonly linkOrAddress: Tally
  readonly misses: Tally
  readonly overruns: number
}

/** The clock that all processes of a bench share. */
export const nowMs = (): number => Number(process.hrtime.bigint()) / 1e6

type Said = Readonly<Record<string, { count: number; firstNs: string; lastNs: string }>> & {
  readonly event: string
  readonly overruns: number
}

/** Listens to the kernel of a namespace and notes when rows came; see yardsticks/watch.c. */
export class RowWatch {
  readonly #program: Conversation
  private constructor(program: Conversation) {
    this.#program = program
  }

  static async start(
    netns: Netns,
    groups: readonly ('route' | 'neigh' | 'link' | 'address')[] = ['route'],
  ): Promise<RowWatch> {
    const watch = new RowWatch(new Conversation(netns.wrap([await yardstick('watch'), ...groups])))
    await watch.#hear('listening')
    return watch
  }

  /** Forgets everything; from now on {@link reached} waits for this many routes to be added or removed. */
  async target(routes: number): Promise<void> {
    this.#program.tell(`target ${routes}`)
    await this.#hear('armed')
  }

  async reached(timeoutMs = 60_000): Promise<RowReport> {
    let timer: NodeJS.Timeout | undefined
    const late = new Promise<never>((_, reject) => {
      timer = setTimeout(() => {
        this.report().then(
          ({ routesAdded, routesRemoved }) =>
            reject(new Error(`only ${routesAdded.count} + ${routesRemoved.count} routes in ${timeoutMs} ms`)),
          reject,
        )
      }, timeoutMs)
    })
    try {
      return await Promise.race([this.#hear('reached'), late])
    } finally {
      clearTimeout(timer)
    }
  }

  async report(): Promise<RowReport> {
    this.#program.tell('report')
    return this.#hear('report')
  }

  stop(): Promise<void> {
    return this.#program.stop()
  }

  async #hear(event: string): Promise<RowReport> {
    for (;;) {
      const said = JSON.parse(await this.#program.next()) as Said
      if (said.event === event) return parse(said)
      if (said.event === 'report' || said.event === 'armed') continue
    }
  }
}

const parse = (said: Said): RowReport => {
  const tally = (name: string): Tally => {
    const { count = 0, firstNs = '0', lastNs = '0' } = said[name] ?? {}
    return { count, firstMs: Number(firstNs) / 1e6, lastMs: Number(lastNs) / 1e6 }
  }
  return {
    routesAdded: tally('routesAdded'),
    routesRemoved: tally('routesRemoved'),
    fdbAdded: tally('fdbAdded'),
    fdbRemoved: tally('fdbRemoved'),
    neighAdded: tally('neighAdded'),
    neighRemoved: tally('neighRemoved'),
    linkOrAddress: tally('linkOrAddress'),
    misses: tally('misses'),
    overruns: said.overruns,
  }
}
