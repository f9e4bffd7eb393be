import type { Daemon } from '../test/support/process.ts'
import type { Host } from '../test/support/host.ts'

/** A miss and its answer, as the kernel of one host reported them. */
export interface AnsweredMiss {
  readonly host: Host
  readonly asked: string
  /** MAC in the first row that followed; undefined without one. */
  readonly mac: string | undefined
}

/** Listens to the neighbour notifications of a host: misses, and the rows that answer them. */
export class MissWatch {
  readonly #host: Host
  readonly #monitor: Daemon

  private constructor(host: Host, monitor: Daemon) {
    this.#host = host
    this.#monitor = monitor
  }

  static async start(host: Host): Promise<MissWatch> {
    const watch = new MissWatch(host, host.netns.start('ip', '-o', 'monitor', 'neigh'))
    await watch.#hearsMarker()
    return watch
  }

  async stop(): Promise<readonly AnsweredMiss[]> {
    await this.#hearsMarker()
    await this.#monitor.kill()
    const events = this.#monitor.lines.flatMap(parse)
    return events.flatMap((event, i) => {
      if (event.kind === 'row') return []
      const row = events.slice(i).find((one) => one.kind === 'row' && one.near === event.near)
      return [{ host: this.#host, asked: event.ip, mac: row?.kind === 'row' ? row.mac : undefined }]
    })
  }

  /** A row on another device, made and removed: when it is reported, everything before it has been. */
  async #hearsMarker(): Promise<void> {
    const row = '198.51.100.255 lladdr 02:00:00:00:00:ff dev eth0'
    const heard = this.#monitor.line(/Deleted 198\.51\.100\.255/, this.#monitor.lines.length).then(() => true)
    for (;;) {
      await this.#host.netns.batch([`neigh replace ${row} nud permanent`, `neigh del ${row}`])
      const pause = new Promise<boolean>((resolve) => setTimeout(() => resolve(false), 20))
      if (await Promise.race([heard, pause])) return
    }
  }
}

type NeighbourEvent =
  | { readonly kind: 'miss'; readonly ip: string; readonly near: string }
  | { readonly kind: 'row'; readonly mac: string; readonly near: string }

const line = /^(miss )?(\d+\.\d+\.\d+)\.(\d+) dev tweed\.\S+ (?:.*lladdr (\S+))?/

/** `near`: the /24 of the address, which in the demo is the subnet of one host. */
const parse = (text: string): readonly NeighbourEvent[] => {
  const match = line.exec(text)
  if (!match) return []
  const [, isMiss, near = '', last = '', mac] = match
  if (isMiss !== undefined) return [{ kind: 'miss', ip: `${near}.${last}`, near }]
  return mac === undefined ? [] : [{ kind: 'row', mac, near }]
}
