import type { Daemon } from '../test/support/process.ts'
import type { Host } from '../test/support/host.ts'

/** A miss and its answer, as the kernel of one host reported them. */
export interface AnsweredMiss {
  readonly host: Host
  readonly asked: string
  /** MAC in the first row that followed, and the milliseconds until then; undefined without one. */
  readonly answer: { readonly mac: string; readonly afterMs: number } | undefined
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
    const watch = new MissWatch(host, host.netns.start('ip', '-ts', '-o', 'monitor', 'neigh'))
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
      const answer = row?.kind === 'row' ? { mac: row.mac, afterMs: row.atMs - event.atMs } : undefined
      return [{ host: this.#host, asked: event.ip, answer }]
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
  | { readonly kind: 'miss'; readonly atMs: number; readonly ip: string; readonly near: string }
  | { readonly kind: 'row'; readonly atMs: number; readonly mac: string; readonly near: string }

const line = /^\[([^\]]+)\] (miss )?(\d+\.\d+\.\d+)\.(\d+) dev tweed\.\S+ (?:.*lladdr (\S+))?/

/** `near`: the /24 of the address, which in the demo is the subnet of one host. */
const parse = (text: string): readonly NeighbourEvent[] => {
  const match = line.exec(text)
  if (!match) return []
  const [, stamp = '', isMiss, near = '', last = '', mac] = match
  const atMs = sinceMidnightMs(stamp)
  if (isMiss !== undefined) return [{ kind: 'miss', atMs, ip: `${near}.${last}`, near }]
  return mac === undefined ? [] : [{ kind: 'row', atMs, mac, near }]
}

/** `2026-11-22T13:20:05.123456`: Date would drop the microseconds. */
const sinceMidnightMs = (stamp: string): number => {
  const [hours = 0, minutes = 0, seconds = 0] = (stamp.split('T')[1] ?? '').split(':').map(Number)
  return ((hours * 60 + minutes) * 60 + seconds) * 1000
}
