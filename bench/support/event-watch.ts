import type { Etcd3, Watcher } from 'etcd3'
import { prefix } from './bench-lab.ts'
import { nowMs } from './row-watch.ts'

/** Another watcher beside the agent: when did etcd send the last event? */
export class EventWatch {
  readonly #watcher: Watcher
  #count = 0
  #lastMs = 0

  private constructor(watcher: Watcher) {
    this.#watcher = watcher
    watcher.on('data', ({ events }) => {
      this.#count += events.length
      this.#lastMs = nowMs()
    })
  }

  static async start(etcd: Etcd3): Promise<EventWatch> {
    return new EventWatch(await etcd.watch().prefix(`${prefix}/subnets/`).create())
  }

  reset(): void {
    this.#count = 0
  }

  get seen(): { readonly count: number; readonly lastMs: number } {
    return { count: this.#count, lastMs: this.#lastMs }
  }

  stop(): Promise<void> {
    return this.#watcher.cancel()
  }
}
