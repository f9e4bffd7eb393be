import { expect } from 'chai'
import { join } from 'node:path'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import type { Host } from '../host.ts'
import { Lab, prefix } from '../lab.ts'
import { halfConfig, recordOf } from '../overlay.ts'
import { eventually, output } from '../process.ts'
import { TcpProxy } from '../tcp-proxy.ts'
import { Churn, fakeKey, fakes } from './churn.ts'
import { cpuShares } from './cpu.ts'
import { EtcdAccess } from './etcd-access.ts'
import { experimenter, joinUnderlay } from './join-underlay.ts'
import { Member } from './member.ts'
import { compare, differencesOn, type Expected, recordLine } from './oracle.ts'
import { PingMesh } from './ping-mesh.ts'
import { Wires } from './wires.ts'

export interface FaultLabOptions {
  /** Further hosts, with an agent when a test starts it and without containers that are pinged. */
  readonly spares?: number
  readonly agentFlags?: readonly string[]
  /** Of the writer and of whoever asks; the same numbers make the same history, but for etcd's own timing. */
  readonly random?: () => number
}

/** In the log of an agent: it has lost etcd, and has found it again. */
export const gone = /"etcd.disconnected"/
export const back = /"etcd.connected"/

/** Hosts with containers between which packets flow all the time. */
const talking = 3
const memberCount = 3
const wireAddress = (member: number): string => `192.0.2.${202 + member}`
const wires = Array.from({ length: memberCount }, (_, i) => wireAddress(i))
/** How much of a core an agent may use while etcd is away. */
export const calmShare = 0.02
const calmMs = 10_000

/** Number of the fake peer that {@link FaultLab.learns} changes. */
const news = fakes + 10

/**
 * Three hosts that talk to each other without a pause, three etcd members on machines of their own, a writer that
 * churns through sixty fake peers, and an oracle. The test process is a machine of its own on the same underlay.
 */
export class FaultLab {
  readonly lab: Lab
  readonly members: readonly Member[]
  readonly etcd: EtcdAccess
  readonly churn: Churn
  /** The way of agents that are started with {@link byWire}. */
  readonly wires: Wires
  readonly random: () => number
  readonly #folder: string
  #pings: PingMesh | undefined
  #news = 0

  private constructor(lab: Lab, members: readonly Member[], random: () => number, folder: string) {
    this.lab = lab
    this.members = members
    this.random = random
    this.#folder = folder
    this.etcd = new EtcdAccess(members.map(({ etcd }) => etcd.url))
    this.wires = new Wires(members.map(({ wire }) => wire))
    this.churn = new Churn(this.etcd, random)
  }

  /** Resolves when all talking hosts are ready, know all fake peers and each other, and answer pings. */
  static async create({ spares = 0, agentFlags = [], random }: FaultLabOptions = {}): Promise<FaultLab> {
    const lab = await Lab.create({
      hosts: talking + spares,
      etcdMembers: memberCount,
      config: halfConfig,
      agentFlags: ['--hold', '30s', ...agentFlags],
    })
    await joinUnderlay(lab, [experimenter, ...wires])
    const members = await Promise.all(
      lab.etcd.members.map(async (etcd, i) => {
        const netns = lab.memberNetns[i]
        if (!netns) throw new Error(`member ${i} has no machine`)
        const address = `192.0.2.${2 + i}`
        const wire = await TcpProxy.open({ host: address, port: 2379 }, { host: wireAddress(i), port: 2379 })
        return new Member({ etcd, netns, address, wire })
      }),
    )
    const folder = await mkdtemp(join(tmpdir(), 'tweed-faults-'))
    const faults = new FaultLab(lab, members, random ?? Math.random, folder)
    if (process.env['TWEED_FAULTS_PHASES'] !== undefined)
      faults.onPhase = (phase, millis) => console.log(`      ${phase} ${millis} ms`)
    await faults.#begin().catch(async (error: unknown) => {
      await faults.destroy()
      throw error
    })
    return faults
  }

  /** The hosts that talk. */
  get hosts(): readonly Host[] {
    return this.lab.hosts.slice(0, talking)
  }

  host(number: number): Host {
    return this.lab.host(number)
  }

  /** Hosts whose agents run. */
  get running(): readonly Host[] {
    return this.lab.hosts.filter(({ agent }) => agent?.running)
  }

  /** The member that the agent of this host watches, among those it is connected to. */
  async attached(host: Host): Promise<Member> {
    return eventually(`${host.name} is connected to etcd`, async () => {
      const sockets = await host.exec('ss', '-tnHiO', 'state', 'established', 'dport = :2379')
      const heard = sockets.split('\n').flatMap((text) => {
        const address = /(192\.0\.2\.\d+):2379/.exec(text)?.[1]
        const agoMs = Number(/lastrcv:(\d+)/.exec(text)?.[1] ?? 0)
        const member = this.members.find((each) => each.address === address)
        return member ? [{ member, agoMs }] : []
      })
      return heard.sort((a, b) => a.agoMs - b.agoMs)[0]?.member
    })
  }

  async leader(): Promise<Member> {
    return eventually('a leader', async () => {
      const isLeader = await Promise.all(this.members.map(leads))
      return this.members[isLeader.indexOf(true)]
    })
  }

  others(member: Member): readonly Member[] {
    return this.members.filter((each) => each !== member)
  }

  /** Resets the connections between agents and etcd; new ones are served. */
  async cutAgents(): Promise<void> {
    const from = this.heardOfAll()
    await this.all((member) => member.refuse())
    await this.allSay(gone, from)
    await this.all((member) => member.heal())
  }

  /** Does it to every member at once. */
  async all(work: (member: Member) => Promise<void>): Promise<void> {
    await Promise.all(this.members.map(work))
  }

  /** All data gone, under the same cluster id. */
  async wipe(): Promise<void> {
    await this.lab.etcd.wipe()
  }

  /** A backup of what etcd holds now, for {@link restore}. */
  async backup(): Promise<string> {
    const file = join(this.#folder, `backup-${Math.floor(performance.now())}.db`)
    const [member] = this.members
    await output(['env', 'ETCDCTL_API=3', 'etcdctl', '--endpoints', member?.etcd.url ?? '', 'snapshot', 'save', file]) // prettier-ignore
    return file
  }

  /** What an operator does with a backup: stop all, restore each, start all. */
  async restore(file: string): Promise<void> {
    await this.lab.etcd.kill()
    await Promise.all(this.members.map(({ etcd }) => etcd.restore(file)))
    await this.lab.etcd.restart()
  }

  /** Undoes every fault; resolves when all members serve. */
  async heal(): Promise<void> {
    for (const { agent } of this.running) agent?.signal('SIGCONT')
    this.wires.serve()
    await this.all((member) => member.heal())
  }

  putConfig(config: object = halfConfig): Promise<void> {
    return this.etcd.put(`${prefix}/config`, JSON.stringify(config))
  }

  /** Starts the agent anew after its end or after ending it; resolves when it is ready. */
  async restart(
    host: Host,
    flags: readonly string[] = [],
    signal: NodeJS.Signals = 'SIGTERM',
  ): Promise<void> {
    await host.agent?.kill(signal)
    await (await host.startAgent(flags)).waitReady(60_000)
  }

  /** Flags of an agent that reaches etcd through the wires. */
  get byWire(): readonly string[] {
    return ['--etcd-endpoints', this.members.map((_, i) => `http://${wireAddress(i)}:2379`).join(',')]
  }

  /** Hangs the record of each host on a lease of so few seconds, which its agent then adopts. */
  async shortenLeases(seconds: number, hosts: readonly Host[] = this.hosts): Promise<void> {
    for (const host of hosts) {
      const key = await this.keyOf(host)
      await host.agent?.kill('SIGTERM')
      const value = (await this.etcd.get(key))?.value.toString() ?? ''
      await this.etcd.put(key, value, await this.etcd.grant(seconds))
      await this.restart(host)
    }
  }

  async keyOf(host: Host): Promise<string> {
    const key = (await host.status()).lease?.key
    if (key === undefined) throw new Error(`${host.name} has no subnet`)
    return `${prefix}/subnets/${key}`
  }

  /** Keys and revisions of the records that agents have written. */
  async hostRecords(): Promise<readonly string[]> {
    const kvs = await this.etcd.list(`${prefix}/subnets/`)
    return kvs.flatMap((kv) =>
      kv.value.includes('"Node"') ? [`${kv.key.toString()} ${kv.mod_revision}`] : [],
    )
  }

  /** Where the log of this agent stands, for {@link says}. */
  heard(host: Host): number {
    return host.agent?.logs.length ?? 0
  }

  /** Resolves with the first line of the log, from there on, that matches. */
  async says(host: Host, pattern: RegExp, from = 0, timeoutMs = 45_000): Promise<string> {
    const find = () => host.agent?.logs.slice(from).find((text) => pattern.test(text))
    return eventually(`${host.name} says ${String(pattern)}`, find, timeoutMs).catch((error: unknown) => {
      throw new Error(`${String(error)}\n${host.agent?.logs.slice(from).slice(-20).join('\n') ?? ''}`)
    })
  }

  /** Where the log of every talking host stands, for {@link allSay}. */
  heardOfAll(): readonly number[] {
    return this.hosts.map((host) => this.heard(host))
  }

  /** As {@link says}, of every talking host. */
  async allSay(pattern: RegExp, from: readonly number[]): Promise<void> {
    await Promise.all(this.hosts.map((host, i) => this.says(host, pattern, from[i])))
  }

  /** As {@link reasons}, of every talking host. */
  async allHaveReasons(accept: (codes: readonly string[]) => boolean): Promise<void> {
    await Promise.all(this.hosts.map((host) => this.reasons(host, accept)))
  }

  /** What the agent's health gives as reasons, once `accept` likes them. */
  async reasons(host: Host, accept: (codes: readonly string[]) => boolean): Promise<readonly string[]> {
    let last: readonly string[] = []
    return eventually(
      `health of ${host.name}`,
      async () => {
        const status = await host.status().catch(() => undefined) // it may be on its way
        last = status?.health.reasons.map(({ code }) => code) ?? []
        return status && accept(last) ? last : undefined
      },
      45_000,
    ).catch((error: unknown) => {
      throw new Error(`${String(error)}: ${last.join()}`)
    })
  }

  /**
   * Expects each of these agents to use next to nothing while etcd is away, in one window or else in the next. With
   * nothing to do any more V8 collects everything, 130 ms of CPU at a time of its choice, which may fall on both sides of
   * the end of a window; together with finding out that etcd is away, in code that has never run, that is too much for
   * a short one. Nobody may ask the agents meanwhile.
   */
  async expectCalm(hosts: readonly Host[] = this.hosts): Promise<void> {
    const pids = hosts.map(({ agent }) => agent?.pid ?? 0)
    const first = await cpuShares(pids, calmMs)
    const busy = pids.filter((_, i) => (first[i] ?? 1) >= calmShare)
    if (busy.length === 0) return
    const second = await cpuShares(busy, calmMs)
    expect(
      Math.max(...second),
      `CPU of the agents: ${first.join()}; of those above, then: ${second.join()}`,
    ).to.be.lessThan(calmShare)
  }

  /** Resolves when the agent knows something that was written only now. */
  async learns(host: Host): Promise<void> {
    const publicIp = `203.0.113.${100 + (this.#news++ % 100)}`
    await this.etcd.put(fakeKey(news), recordOf(news, { publicIp }))
    const knows = async () =>
      (await host.peers()).some((peer) => peer.publicIp === publicIp && peer.state === 'programmed') ||
      undefined
    await eventually(`${host.name} learns of ${publicIp}`, knows, 45_000)
  }

  /**
   * Resolves when the host's disk holds every record as etcd has it: under changes it may be a second older, and
   * that is what the host knows after a power failure.
   */
  async remembered(host: Host): Promise<void> {
    const wanted = (await this.etcd.list(`${prefix}/subnets/`)).map(recordLine)
    let differ: readonly string[] = []
    await eventually(`${host.name} remembers`, async () => {
      const kept = (await host.keptRecords()).map(({ key, value }) => `${key} ${value}`)
      differ = compare('the disk', wanted, kept)
      return differ.length === 0 ? true : undefined
    }).catch((error: unknown) => {
      throw new Error([String(error), ...differ.slice(0, 12)].join('\n'))
    })
  }

  async appears(key: string): Promise<void> {
    await eventually(`${key} appears`, async () => ((await this.etcd.get(key)) ? true : undefined), 30_000)
  }

  /** Resolves when etcd has no such key. */
  async vanishes(key: string): Promise<void> {
    await eventually(`${key} vanishes`, async () => ((await this.etcd.get(key)) ? undefined : true), 30_000)
  }

  /** A line for each difference between etcd's list, the agents' views and the kernels' tables. */
  async differences(expected: Expected = {}): Promise<readonly string[]> {
    const kvs = await this.etcd.list(`${prefix}/subnets/`)
    const asked = this.running.filter((host) => !expected.without?.includes(host))
    return (await Promise.all(asked.map((host) => differencesOn(host, kvs, expected)))).flat()
  }

  /** Resolves when there is no difference; rejects with those that stay. */
  async converged(expected: Expected = {}): Promise<void> {
    let last: readonly string[] = []
    await eventually(
      'no differences',
      async () => {
        last = await this.differences(expected).catch((error: unknown) => [String(error)])
        return last.length === 0 ? true : undefined
      },
      45_000,
    ).catch(async (error: unknown) => {
      const tables = await Promise.all(
        this.running.map(async (host) => `${host.name}: ${await tablesOf(host)}`),
      )
      throw new Error([String(error), ...last.slice(0, 12), ...tables].join('\n'))
    })
  }

  /**
   * One row of the fault matrix: under churn and pings it does what `fault` says, heals, and expects no packet
   * lost, no difference, and every subnet with its host.
   */
  async row(fault: () => Promise<void>, expected: Expected = {}): Promise<void> {
    const subnets = await this.#subnets()
    const mark = this.#pings?.mark() ?? new Map<object, number>()
    this.churn.start()
    try {
      await this.#timed('fault', fault())
    } finally {
      await this.#timed('heal', this.heal())
      await this.#timed('calm', this.churn.stop())
    }
    await this.#timed('converge', this.converged(expected))
    expect(await this.#pings?.losses(mark), 'packets lost').to.deep.equal([])
    expect(await this.#subnets(), 'own subnets').to.deep.equal(subnets)
  }

  /** Tells how long each part of a row took, where somebody listens. */
  onPhase: (phase: string, millis: number) => void = () => undefined

  async #timed(phase: string, work: Promise<void>): Promise<void> {
    const start = performance.now()
    await work
    this.onPhase(phase, Math.round(performance.now() - start))
  }

  /** New processes for the pings, whose sequence numbers are sixteen bits. */
  async ping(): Promise<void> {
    await this.#pings?.stop()
    this.#pings = await PingMesh.start(this.hosts.flatMap(({ containers }) => containers))
  }

  async destroy(): Promise<void> {
    for (const member of this.members) member.resume()
    for (const { wire } of this.members) wire.close()
    await this.#pings?.stop()
    this.etcd.close()
    await this.lab.destroy()
    await rm(this.#folder, { recursive: true, force: true })
  }

  async #begin(): Promise<void> {
    await this.churn.fill()
    await Promise.all(
      this.hosts.map(async (host) =>
        (await host.startAgent()).waitReady(60_000).then(() => host.addContainer('c')),
      ),
    )
    await this.converged()
    await this.ping()
  }

  async #subnets(): Promise<readonly string[]> {
    return Promise.all(this.hosts.map(async (host) => (await host.subnetEnv()).subnet))
  }
}

/** What the agent believes of its tables, for a message. */
const tablesOf = (host: Host): Promise<string> =>
  host.status().then(
    ({ tables }) => JSON.stringify(tables),
    (error: unknown) => String(error),
  )

const leads = async ({ etcd }: Member): Promise<boolean> => {
  const access = new EtcdAccess([etcd.url], { patienceMs: 0 })
  try {
    const { leader, header } = await access.ask(({ client }) => client.maintenance.status())
    return leader === header.member_id
  } catch {
    return false
  } finally {
    access.close()
  }
}
