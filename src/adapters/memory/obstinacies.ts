import type { Fault } from '../../core/fault.ts'

interface Obstinacy {
  /** Beginning of what is refused, as `ip` and `bridge` say it: `ip neigh replace 10.5.2.0`. */
  readonly command: string
  readonly fault: Fault
  readonly once: boolean
}

/** What a kernel refuses to do, though it is asked well. */
export class Obstinacies {
  #all: readonly Obstinacy[] = []

  add(obstinacy: Obstinacy): void {
    this.#all = [...this.#all, obstinacy]
  }

  clear(): void {
    this.#all = []
  }

  /** Asking uses up what is refused once. */
  refusalOf(command: string): Fault | undefined {
    const found = this.#all.find((each) => command.startsWith(each.command))
    if (found?.once) this.#all = this.#all.filter((each) => each !== found)
    return found?.fault
  }
}
