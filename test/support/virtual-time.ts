import { asyncScheduler, VirtualTimeScheduler } from 'rxjs'
import { Millis } from '../../src/core/time.ts'

/**
 * The clock and every RxJS timer of a test: hours pass in a call. Sockets and processes live in real time, so that
 * a test against Linux waits for the kernel and for nothing else.
 */
export class VirtualTime {
  readonly #scheduler = new VirtualTimeScheduler()
  readonly #schedule = asyncScheduler.schedule.bind(asyncScheduler)

  /** Takes the timers over until {@link end}. */
  constructor() {
    asyncScheduler.schedule = this.#scheduler.schedule.bind(this.#scheduler)
  }
  end(): void {
    asyncScheduler.schedule = this.#schedule
  }

  readonly clock = {
    now: (): Millis => Millis.of(this.#scheduler.frame),
    random: (): number => 0.5,
  }

  /** Everything that is due within so many milliseconds happens, in order. */
  advance(ms: number): void {
    const until = this.#scheduler.frame + ms
    this.#scheduler.maxFrames = until
    this.#scheduler.flush()
    this.#scheduler.frame = until
  }
}
