import type { Daemon } from './process.ts'
import type { Netns } from './netns.ts'

/** Addresses that are put on `lo` for a moment: when one is reported, all that was before has been too. */
let markers = 0
const marker = (): string => `198.18.${(markers >> 8) & 255}.${markers++ & 255}`

/**
 * What the kernel of a namespace notifies about one device: links, addresses, routes, neighbours and FDB
 * entries, a line of `ip monitor` each. The misses that it reports in the same place are not writes and are
 * left out. Note that the kernel keeps quiet about a write that changes nothing.
 */
export class WriteMonitor {
  readonly #netns: Netns
  readonly #monitor: Daemon
  readonly #device: string

  private constructor(netns: Netns, monitor: Daemon, device: string) {
    this.#netns = netns
    this.#monitor = monitor
    this.#device = device
  }

  static async start(netns: Netns, device: string): Promise<WriteMonitor> {
    const monitor = netns.start('ip', '-o', 'monitor', 'link', 'address', 'route', 'neigh')
    const started = new WriteMonitor(netns, monitor, device)
    await started.#passMarker()
    return started
  }

  /** Everything that was notified up to now. */
  async writes(): Promise<readonly string[]> {
    await this.#passMarker()
    const isOurs = new RegExp(`(\\bdev ${this.#device}\\b|^(Deleted )?\\d+: ${this.#device}[:@ ])`)
    return this.#monitor.lines.filter((line) => isOurs.test(line) && !/^miss /.test(line))
  }

  /** Ends the monitoring and returns what was notified while it ran. */
  async stop(): Promise<readonly string[]> {
    const writes = await this.writes()
    await this.#monitor.kill()
    return writes
  }

  async #passMarker(): Promise<void> {
    // The monitor may not listen yet: repeat until it has heard one. Another each time, or the next call would hear this one's.
    const from = this.#monitor.lines.length
    for (let i = 0; i < 200; i++) {
      const address = marker()
      const heard = this.#monitor.line(new RegExp(`^Deleted .* ${address}/32 `), from).then(() => true)
      await this.#netns.batch([`addr add ${address}/32 dev lo`, `addr del ${address}/32 dev lo`])
      const pause = new Promise<boolean>((resolve) => setTimeout(() => resolve(false), 20))
      if (await Promise.race([heard, pause])) return
    }
    throw new Error(`ip monitor in ${this.#netns.name} is deaf`)
  }
}
