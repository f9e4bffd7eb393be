import { type ChildProcess, spawn } from 'node:child_process'
import { createInterface } from 'node:readline'

export interface Finished {
  readonly code: number | null
  readonly signal: NodeJS.Signals | null
  readonly stdout: string
  readonly stderr: string
}

export class CommandFailed extends Error {
  override readonly name = 'CommandFailed'
  readonly finished: Finished
  constructor(argv: readonly string[], finished: Finished) {
    const why = (finished.stderr || finished.stdout).trim()
    super(`${argv.join(' ')}: exit ${String(finished.code ?? finished.signal)}\n${why}`)
    this.finished = finished
  }
}

/** Runs a program to its end; `input` becomes its standard input. Rejects only if it can't be started. */
export const run = (argv: readonly string[], input = ''): Promise<Finished> =>
  new Promise((resolve, reject) => {
    const [program = '', ...args] = argv
    const child = spawn(program, args, { stdio: 'pipe' })
    const said = { stdout: '', stderr: '' }
    child.stdout.setEncoding('utf8').on('data', (text: string) => (said.stdout += text))
    child.stderr.setEncoding('utf8').on('data', (text: string) => (said.stderr += text))
    child.on('error', reject)
    child.on('close', (code, signal) => resolve({ code, signal, ...said }))
    child.stdin.on('error', () => undefined) // EPIPE: it didn't want to hear the rest
    child.stdin.end(input)
  })

/** What a program printed; rejects with {@link CommandFailed} unless it exits with 0. */
export const output = async (argv: readonly string[], input?: string): Promise<string> => {
  const finished = await run(argv, input)
  if (finished.code !== 0) throw new CommandFailed(argv, finished)
  return finished.stdout
}

export interface Exit {
  readonly code: number | null
  readonly signal: NodeJS.Signals | null
}

/** A program in the background. Its lines, of both outputs in their order, are kept. */
export class Daemon {
  readonly #child: ChildProcess
  readonly #wake = new Set<() => void>()
  readonly #argv: readonly string[]
  #exit: Exit | undefined
  readonly lines: string[] = []
  /** Settles once it is gone and all it said has been read. */
  readonly exited: Promise<Exit>

  private constructor(argv: readonly string[], env: NodeJS.ProcessEnv) {
    const [program = '', ...args] = argv
    this.#argv = argv
    const child = spawn(program, args, { stdio: ['ignore', 'pipe', 'pipe'], env })
    this.#child = child
    for (const stream of [child.stdout, child.stderr]) {
      createInterface({ input: stream }).on('line', (line) => this.#hear(line))
    }
    this.exited = new Promise((resolve) => {
      const end = (exit: Exit) => {
        this.#exit = exit
        this.#wakeAll()
        resolve(exit)
      }
      child.on('error', (error) => {
        this.#hear(error.message)
        end({ code: 127, signal: null })
      })
      child.on('close', (code, signal) => end({ code, signal }))
      // Its own children may hold the pipes open for longer than it lives.
      child.on('exit', () => setTimeout(() => [child.stdout, child.stderr].forEach((s) => s.destroy()), 300))
    })
  }

  static start(argv: readonly string[], env: NodeJS.ProcessEnv = process.env): Daemon {
    return new Daemon(argv, env)
  }

  get pid(): number {
    return this.#child.pid ?? 0
  }

  get running(): boolean {
    return this.#exit === undefined
  }

  /** Sends the signal and waits until the process is gone; the exit is the same if it went before. */
  async kill(signal: NodeJS.Signals = 'SIGKILL'): Promise<Exit> {
    if (this.running) this.#child.kill(signal)
    return this.exited
  }

  signal(signal: NodeJS.Signals): void {
    this.#child.kill(signal)
  }

  /** The first line, said already or yet to come, that matches; rejects if the process ends without it. */
  async line(pattern: RegExp, from = 0): Promise<string> {
    let seen = from
    for (;;) {
      for (; seen < this.lines.length; seen++) {
        const line = this.lines[seen]
        if (line !== undefined && pattern.test(line)) return line
      }
      if (this.#exit)
        throw new Error(`${this.#argv.join(' ')} ended without ${String(pattern)}\n${this.tail()}`)
      await new Promise<void>((resolve) => this.#wake.add(resolve))
    }
  }

  /** Its last words, for a message. */
  tail(lines = 20): string {
    return this.lines.slice(-lines).join('\n')
  }

  #hear(line: string): void {
    this.lines.push(line)
    this.#wakeAll()
  }

  #wakeAll(): void {
    for (const wake of this.#wake) wake()
    this.#wake.clear()
  }
}

/**
 * Asks until the answer is not undefined. For states that announce themselves to nobody; where there is an
 * event, await that. Rejects with what was awaited when the time is over.
 */
export const eventually = async <T>(
  what: string,
  ask: () => Promise<T | undefined> | T | undefined,
  timeoutMs = 10_000,
): Promise<T> => {
  const deadline = Date.now() + timeoutMs
  for (;;) {
    const answer = await ask()
    if (answer !== undefined) return answer
    if (Date.now() > deadline) throw new Error(`not within ${timeoutMs} ms: ${what}`)
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
}
