import { mkdtempSync, rmSync } from 'node:fs'
import { rm } from 'node:fs/promises'
import { createServer, type AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Daemon, output } from './process.ts'

export interface EtcdTls {
  /** Paths of PEM files. */
  readonly ca: string
  readonly cert: string
  readonly key: string
}

export interface EtcdOptions {
  /** 1 by default; 3 make a cluster that survives the loss of one. */
  readonly members?: number
  /** Command prefix, as `ip netns exec NAME`. It has to become the program, so that its pid is etcd's. */
  readonly wrap?: readonly string[]
  /** Address to listen at; loopback by default. */
  readonly listen?: string
  /** Client port of the first member; a free one by default. */
  readonly port?: number
  /** Gives each member a machine of its own, instead of `members` on one; client port 2379, peer port 2380. */
  readonly machines?: readonly EtcdMachine[]
  /** Serve clients over TLS. */
  readonly tls?: EtcdTls
  /** Further flags of etcd. */
  readonly flags?: readonly string[]
}

export interface EtcdMachine {
  /** Command prefix of the member there. */
  readonly wrap: readonly string[]
  /** Address that clients and the other members reach it at. */
  readonly address: string
}

/** A private etcd on free ports with its data in a temporary directory: alone or a small cluster. */
export class Etcd {
  readonly members: readonly EtcdMember[]
  readonly #options: EtcdOptions
  readonly #directory: string
  /** Further flags of etcdctl, `--user=root:…` once access is controlled. */
  ctlFlags: readonly string[] = []

  private constructor(directory: string, members: readonly EtcdMember[], options: EtcdOptions) {
    this.#directory = directory
    this.members = members
    this.#options = options
  }

  /** Resolves when every member serves requests. */
  static async start(options: EtcdOptions = {}): Promise<Etcd> {
    const directory = mkdtempSync(join(tmpdir(), 'tweed-etcd-'))
    const scheme = options.tls ? 'https' : 'http'
    const places = (await machinesOf(options)).map(({ wrap, address, ports }, index) => ({
      name: `m${index}`,
      directory: join(directory, `m${index}`),
      wrap,
      client: `${scheme}://${address}:${ports.client}`,
      peer: `http://${address}:${ports.peer}`,
    }))
    const cluster = places.map(({ name, peer }) => `${name}=${peer}`).join(',')
    const members = places.map((place) => new EtcdMember(place, cluster, options))
    const etcd = new Etcd(directory, members, options)
    started.add(etcd)
    await etcd.restart()
    return etcd
  }

  /** Comma separated, as `--etcd-endpoints` takes it. */
  get endpoints(): string {
    return this.members.map(({ url }) => url).join(',')
  }

  /** The first member's. */
  get url(): string {
    return this.#first.url
  }

  /** The first member's client port. */
  get port(): number {
    return this.#first.port
  }

  get #first(): EtcdMember {
    const [first] = this.members
    if (!first) throw new Error('etcd has no member')
    return first
  }

  /** Starts what does not run, with the data that it had. */
  async restart(): Promise<void> {
    await Promise.all(this.members.map((member) => member.start()))
  }

  /** kill -9 of every member. */
  async kill(): Promise<void> {
    await Promise.all(this.members.map((member) => member.kill()))
  }

  /** SIGSTOP: connections stay, nobody answers. */
  pause(): void {
    for (const member of this.members) member.pause()
  }

  resume(): void {
    for (const member of this.members) member.resume()
  }

  /** All data gone, and running again: under the same cluster id, as etcd derives it from its flags. */
  async wipe(): Promise<void> {
    await this.kill()
    await Promise.all(this.members.map((member) => member.forget()))
    await this.restart()
  }

  /** Ends the members and removes their data. */
  async stop(): Promise<void> {
    await this.kill()
    await rm(this.#directory, { recursive: true, force: true })
    started.delete(this)
  }

  /** Ends it without waiting; for the end of the process. */
  abandon(): void {
    for (const member of this.members) member.abandon()
    rmSync(this.#directory, { recursive: true, force: true })
  }

  /** Runs etcdctl (API 3) against all members; resolves with what it prints. */
  async ctl(...args: readonly string[]): Promise<string> {
    const { tls, wrap = [] } = this.#options
    const files = tls ? [`--cacert=${tls.ca}`, `--cert=${tls.cert}`, `--key=${tls.key}`] : []
    const command = [
      'env',
      'ETCDCTL_API=3',
      'etcdctl',
      `--endpoints=${this.endpoints}`,
      ...files,
      ...this.ctlFlags,
      ...args,
    ]
    return (await output([...wrap, ...command])).trimEnd()
  }

  async put(key: string, value: string): Promise<void> {
    await this.ctl('put', '--', key, value)
  }

  async delete(key: string): Promise<void> {
    await this.ctl('del', '--', key)
  }

  async revision(): Promise<number> {
    const printed: unknown = JSON.parse(await this.ctl('get', '-w', 'json', '--', 'no-such-key'))
    return revisionIn(printed)
  }

  /** Drops the history up to now. */
  async compact(): Promise<void> {
    await this.ctl('compact', '--physical', String(await this.revision()))
  }
}

interface Machine extends EtcdMachine {
  readonly ports: { readonly client: number; readonly peer: number }
}

const machinesOf = async (options: EtcdOptions): Promise<readonly Machine[]> => {
  if (options.machines)
    return options.machines.map((machine) => ({ ...machine, ports: { client: 2379, peer: 2380 } }))
  const { members = 1, wrap = [], listen: address = '127.0.0.1' } = options
  const free = await freePorts(2 * members)
  return Array.from({ length: members }, (_, i) => {
    const client = (i === 0 && options.port) || (free[2 * i] ?? 0)
    return { wrap, address, ports: { client, peer: free[2 * i + 1] ?? 0 } }
  })
}

interface Place {
  readonly name: string
  readonly wrap: readonly string[]
  readonly directory: string
  readonly client: string
  readonly peer: string
}

export class EtcdMember {
  readonly url: string
  readonly #place: Place
  readonly #cluster: string
  readonly #argv: readonly string[]
  #daemon: Daemon | undefined

  constructor(place: Place, cluster: string, options: EtcdOptions) {
    const { tls } = options
    this.url = place.client
    this.#place = place
    this.#cluster = cluster
    this.#argv = [
      ...place.wrap,
      'etcd',
      `--name=${place.name}`,
      `--data-dir=${place.directory}`,
      `--listen-client-urls=${place.client}`,
      `--advertise-client-urls=${place.client}`,
      `--listen-peer-urls=${place.peer}`,
      `--initial-advertise-peer-urls=${place.peer}`,
      `--initial-cluster=${cluster}`,
      '--heartbeat-interval=50', // loopback: elections in half a second
      '--election-timeout=500',
      ...(tls ? [`--cert-file=${tls.cert}`, `--key-file=${tls.key}`] : []),
      ...(options.flags ?? []),
    ]
  }

  /** For clients. */
  get port(): number {
    return Number(new URL(this.url).port)
  }

  async start(): Promise<void> {
    if (this.#daemon?.running) return
    this.#daemon = Daemon.start(this.#argv)
    await this.#daemon.line(/ready to serve client requests|serving client traffic/)
  }

  async kill(): Promise<void> {
    await this.#daemon?.kill()
  }

  pause(): void {
    this.#daemon?.signal('SIGSTOP')
  }

  resume(): void {
    this.#daemon?.signal('SIGCONT')
  }

  get running(): boolean {
    return this.#daemon?.running === true
  }

  /** Replaces its data by those of a file that `etcdctl snapshot save` has made; it must not run. */
  async restore(file: string): Promise<void> {
    await this.forget()
    const { name, directory, peer } = this.#place
    const command = ['env', 'ETCDCTL_API=3', 'etcdctl', 'snapshot', 'restore', file]
    const membership = [`--name=${name}`, `--initial-cluster=${this.#cluster}`]
    await output([
      ...command,
      ...membership,
      `--data-dir=${directory}`,
      `--initial-advertise-peer-urls=${peer}`,
    ])
  }

  async forget(): Promise<void> {
    await rm(this.#place.directory, { recursive: true, force: true })
  }

  abandon(): void {
    if (this.#daemon?.running) this.#daemon.signal('SIGKILL')
  }
}

const started = new Set<Etcd>()

process.once('exit', () => {
  for (const etcd of started) etcd.abandon()
})

/** Ports that nobody listens at now. */
export const freePorts = async (count: number): Promise<readonly number[]> => {
  const servers = await Promise.all(Array.from({ length: count }, listen))
  const ports = servers.map((server) => (server.address() as AddressInfo).port)
  await Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))))
  return ports
}

const listen = () =>
  new Promise<ReturnType<typeof createServer>>((resolve, reject) => {
    const server = createServer()
    server.once('error', reject)
    server.listen(0, '127.0.0.1', () => resolve(server))
  })

const revisionIn = (printed: unknown): number => {
  const { header } = printed as { readonly header?: { readonly revision?: number } }
  if (header?.revision === undefined)
    throw new Error(`etcdctl printed no revision: ${JSON.stringify(printed)}`)
  return header.revision
}
