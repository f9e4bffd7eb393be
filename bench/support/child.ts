import { type ChildProcess, spawn } from 'node:child_process'
import { createInterface } from 'node:readline'

/** A program that answers lines on its standard input with lines on its standard output. */
export class Conversation {
  readonly #child: ChildProcess
  readonly #lines: string[] = []
  #wake: () => void = () => undefined
  #ended = false

  constructor(argv: readonly string[]) {
    const [program = '', ...args] = argv
    const child = spawn(program, args, { stdio: ['pipe', 'pipe', 'inherit'] })
    this.#child = child
    createInterface({ input: child.stdout }).on('line', (line) => {
      this.#lines.push(line)
      this.#wake()
    })
    child.on('error', () => this.#end())
    child.on('close', () => this.#end())
    child.stdin.on('error', () => undefined)
  }

  get pid(): number {
    return this.#child.pid ?? 0
  }

  tell(line: string): void {
    this.#child.stdin?.write(`${line}\n`)
  }

  /** The next line that it says; rejects if it ends without one. */
  async next(): Promise<string> {
    for (;;) {
      const line = this.#lines.shift()
      if (line !== undefined) return line
      if (this.#ended) throw new Error(`${this.#child.spawnargs.join(' ')} ended`)
      await new Promise<void>((resolve) => (this.#wake = resolve))
    }
  }

  ask(line: string): Promise<string> {
    this.tell(line)
    return this.next()
  }

  async stop(): Promise<void> {
    if (this.#ended) return
    const gone = new Promise((resolve) => this.#child.once('close', resolve))
    this.#child.kill('SIGKILL')
    await gone
  }

  #end(): void {
    this.#ended = true
    this.#wake()
  }
}
