import { eventually } from '../process.ts'
import type { TcpProxy } from '../tcp-proxy.ts'

/** The detours between agents and members, and what can happen inside a connection. */
export class Wires {
  readonly #wires: readonly TcpProxy[]

  constructor(wires: readonly TcpProxy[]) {
    this.#wires = wires
  }

  /** Open connections freeze, for ever; new ones are accepted and never answered. */
  tarpit(): void {
    for (const wire of this.#wires) {
      wire.freeze()
      wire.silent = true
    }
  }

  /** Every connection is cut, and new ones too. */
  refuse(): void {
    for (const wire of this.#wires) {
      wire.refuse = true
      wire.cut()
    }
  }

  /** New connections are served again; what froze stays frozen. */
  serve(): void {
    for (const wire of this.#wires) {
      wire.silent = wire.refuse = false
      wire.onAnswer = wire.onRequest = undefined
    }
  }

  /** Serves, but cuts everything when so many bytes of answers have come, `times` times; resolves after the last. */
  async cutMidStream(times: number, afterBytes: (cut: number) => number): Promise<void> {
    this.serve()
    let cuts = 0
    let bytes = 0
    for (const wire of this.#wires)
      wire.onAnswer = (chunk) => {
        bytes += chunk.length
        if (cuts >= times || bytes < afterBytes(cuts)) return 'pass'
        cuts++
        bytes = 0
        return 'cut'
      }
    await eventually(`${times} cuts`, () => (cuts >= times ? true : undefined), 60_000)
  }

  /** From the first request that contains the text on, no answer comes back until `effect` resolves; then all is cut. */
  async loseAnswers(request: string, effect: () => Promise<unknown>): Promise<void> {
    for (const wire of this.#wires)
      wire.onRequest = (chunk) => {
        if (chunk.includes(request)) for (const each of this.#wires) each.onAnswer = () => 'drop'
      }
    await effect()
    this.serve()
    for (const wire of this.#wires) wire.cut()
  }
}
