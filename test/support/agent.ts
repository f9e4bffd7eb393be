import { watch } from 'node:fs'
import { access, readFile } from 'node:fs/promises'
import { basename, dirname } from 'node:path'
import type { AgentStatus } from '../../src/core/status.ts'
import { askControl, socketPath } from '../../src/adapters/host/control.ts'
import { type Daemon, type Exit, eventually } from './process.ts'

/** The values of subnet.env that a container's network is made from. */
export interface SubnetEnv {
  /** `10.5.0.0/16` */
  readonly network: string
  /** Address of the host's bridge with its prefix length: `10.5.72.1/24`. */
  readonly subnet: string
  /** The same of IPv6: `fc00:0:0:7::1/64`. */
  readonly subnet6: string | undefined
  readonly mtuBytes: number
}

export const readSubnetEnv = async (file: string): Promise<SubnetEnv> => {
  const text = await readFile(file, 'utf8')
  const given = (key: string): string | undefined => new RegExp(`^${key}=(.+)$`, 'm').exec(text)?.[1]
  const value = (key: string): string => {
    const found = given(key)
    if (found === undefined) throw new Error(`${file} has no ${key}:\n${text}`)
    return found
  }
  return {
    network: given('FLANNEL_NETWORK') ?? '',
    subnet: given('FLANNEL_SUBNET') ?? '',
    subnet6: given('FLANNEL_IPV6_SUBNET'),
    mtuBytes: Number(value('FLANNEL_MTU')),
  }
}

/** Resolves when the file is there. It is written atomically, so then it is whole. */
const fileExists = async (file: string, signal: AbortSignal): Promise<void> => {
  for (;;) {
    const changed = new Promise<void>((resolve, reject) => {
      const watcher = watch(dirname(file), { signal }, (_, name) => {
        if (name !== basename(file)) return
        watcher.close()
        resolve()
      })
      watcher.on('error', reject)
    })
    changed.catch(() => undefined) // also when the file was there already
    const isThere = await access(file).then(
      () => true,
      () => false,
    )
    if (isThere) return
    await changed
  }
}

export interface AgentPaths {
  readonly stateDir: string
  readonly runDir: string
  readonly subnetFile: string
}

/** A question to the agent's socket; rejects when nobody answers it. */
export const askAgent = (runDir: string, path: '/status' | '/peers'): Promise<unknown> =>
  askControl(socketPath(runDir), 'GET', path)

/** A running `tweed agent`. */
export class AgentProcess {
  readonly #daemon: Daemon
  readonly #paths: AgentPaths

  constructor(daemon: Daemon, paths: AgentPaths) {
    this.#daemon = daemon
    this.#paths = paths
  }

  get pid(): number {
    return this.#daemon.pid
  }

  get running(): boolean {
    return this.#daemon.running
  }

  get exited(): Promise<Exit> {
    return this.#daemon.exited
  }

  /** All that it has printed, a line each. */
  get logs(): readonly string[] {
    return this.#daemon.lines
  }

  /** Resolves when it is gone. */
  kill(signal: NodeJS.Signals = 'SIGKILL'): Promise<Exit> {
    return this.#daemon.kill(signal)
  }

  /** Sends a signal that doesn't end it. */
  signal(signal: 'SIGSTOP' | 'SIGCONT' | 'SIGHUP'): void {
    this.#daemon.signal(signal)
  }

  /** The first log line that matches, printed already or yet to come. */
  log(pattern: RegExp): Promise<string> {
    return this.#daemon.line(pattern)
  }

  /** What it says of itself, undefined while it doesn't listen. */
  async status(): Promise<AgentStatus | undefined> {
    const status = (await askAgent(this.#paths.runDir, '/status').catch(() => undefined)) as
      AgentStatus | undefined
    return status?.pid === this.pid ? status : undefined // not the socket that a predecessor has left
  }

  /**
   * Resolves when it reports itself ready and etcd has confirmed its lease, which a restarted agent holds before it has
   * asked; rejects if it ends or takes too long.
   */
  async waitReady(timeoutMs = 20_000): Promise<AgentStatus> {
    const over = new AbortController()
    const death = this.exited.then((exit) => {
      over.abort()
      throw new Error(`agent ended with ${String(exit.code ?? exit.signal)}\n${this.#daemon.tail()}`)
    })
    const timer = setTimeout(() => over.abort(), timeoutMs)
    const ready = async () => {
      await fileExists(this.#paths.subnetFile, over.signal)
      let last: AgentStatus | undefined
      return eventually(
        'ready',
        async () => {
          last = (await this.status()) ?? last
          const isReady = last?.health.state === 'ready' && last.lease?.state === 'owned'
          return isReady && last?.tables.fdb.pending === 0 ? last : undefined
        },
        timeoutMs,
      ).catch((error: unknown) => {
        throw new Error(`${String(error)}: ${JSON.stringify(last?.health)}\n${this.#daemon.tail()}`)
      })
    }
    try {
      return await Promise.race([ready(), death])
    } catch (error) {
      if (!over.signal.aborted || !this.running) throw error
      throw new Error(`no subnet.env within ${timeoutMs} ms\n${this.#daemon.tail()}`, { cause: error })
    } finally {
      clearTimeout(timer)
      over.abort()
    }
  }
}
