import { mkdir, readFile, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { parsePeers } from '../../src/adapters/host/saved.ts'
import { Cidr } from '../../src/core/net/cidr.ts'
import { Ipv4 } from '../../src/core/net/ipv4.ts'
import type { StoredRecord } from '../../src/core/overlay/record.ts'
import type { AgentStatus, PeerStatus } from '../../src/core/status.ts'
import { AgentProcess, type AgentPaths, askAgent, readSubnetEnv, type SubnetEnv } from './agent.ts'
import { Container } from './container.ts'
import { WriteMonitor } from './monitor.ts'
import { Netns, veth } from './netns.ts'
import { type Finished, run } from './process.ts'
import { type KernelTables, readTables, snapshot } from './tables.ts'

export interface HostSetup {
  readonly name: string
  readonly netns: Netns
  /** Underlay address, without a length. */
  readonly address: string
  /** Everything that its agent writes lies below it. */
  readonly folder: string
  /** Command line of `tweed`, not yet wrapped into the host. */
  readonly program: readonly string[]
  /** Flags that every agent gets. */
  readonly agentFlags: readonly string[]
}

/** Without the flags, each with its value, that are given again: some would be added and not replaced. */
const unlessGiven = (usual: readonly string[], given: readonly string[]): readonly string[] =>
  usual.filter((_, i) => !given.includes(usual[i - (i % 2)] ?? ''))

/** Bridge that the containers of a host hang on. */
const bridge = 'cbr0'

/** A machine of the laboratory: a network namespace with eth0 on the underlay, an agent and containers. */
export class Host {
  readonly name: string
  readonly netns: Netns
  readonly address: string
  readonly paths: AgentPaths
  readonly containers: Container[] = []
  agent: AgentProcess | undefined
  readonly #setup: HostSetup
  #nextAddress: number | undefined

  constructor(setup: HostSetup) {
    this.#setup = setup
    this.name = setup.name
    this.netns = setup.netns
    this.address = setup.address
    this.paths = {
      stateDir: join(setup.folder, 'state'),
      runDir: join(setup.folder, 'run'),
      subnetFile: join(setup.folder, 'subnet.env'),
    }
  }

  /**
   * Starts `tweed agent`; {@link AgentProcess.waitReady} tells when it forwards. Later flags win. With an empty `iface`
   * it finds its underlay by the default route.
   */
  async startAgent(extraFlags: readonly string[] = [], iface = 'eth0'): Promise<AgentProcess> {
    if (this.agent?.running) throw new Error(`${this.name} has an agent already`)
    await mkdir(this.paths.stateDir, { recursive: true })
    await mkdir(this.paths.runDir, { recursive: true })
    const usual = unlessGiven(this.#setup.agentFlags, extraFlags)
    const named = iface === '' ? [] : ['--iface', iface]
    const flags = [...usual, ...named, ...this.#pathFlags(), ...extraFlags]
    const daemon = this.netns.start(...this.#setup.program, 'agent', ...flags)
    this.agent = new AgentProcess(daemon, this.paths)
    return this.agent
  }

  /** The command line that runs `tweed <args>` on this host. */
  commandLine(...args: readonly string[]): readonly string[] {
    return this.netns.wrap([...this.#setup.program, ...args])
  }

  /** `tweed <args>` on this host. */
  tweed(...args: readonly string[]): Promise<Finished> {
    return run(this.commandLine(...args))
  }

  /** What `tweed status --json` prints, asked for directly; rejects without an agent. */
  async status(): Promise<AgentStatus> {
    return (await askAgent(this.paths.runDir, '/status')) as AgentStatus
  }

  async peers(): Promise<readonly PeerStatus[]> {
    return (await askAgent(this.paths.runDir, '/peers')) as readonly PeerStatus[]
  }

  /** The records on its disk, which the next agent starts with. */
  async keptRecords(): Promise<readonly StoredRecord[]> {
    return parsePeers(await readFile(join(this.paths.stateDir, 'peers.json'), 'utf8'))
  }

  exec(...argv: readonly string[]): Promise<string> {
    return this.netns.exec(...argv)
  }

  subnetEnv(): Promise<SubnetEnv> {
    return readSubnetEnv(this.paths.subnetFile)
  }

  tables(device = 'tweed.1'): Promise<KernelTables> {
    return readTables(this.netns, device)
  }

  snapshot(): Promise<Readonly<Record<string, string>>> {
    return snapshot(this.netns)
  }

  /** Counts what the kernel reports about the overlay device from now on. */
  monitorWrites(device = 'tweed.1'): Promise<WriteMonitor> {
    return WriteMonitor.start(this.netns, device)
  }

  /** A container on the bridge of this host, which has to have its subnet by then. */
  async addContainer(name: string, options: { readonly addresses?: number } = {}): Promise<Container> {
    const env = await this.subnetEnv()
    if (this.containers.length === 0 && this.#nextAddress === undefined) await this.#addBridge(env)
    const netns = await Netns.add(`${this.netns.name}-${name}`)
    const port = `veth-${name}`
    await veth([this.netns, port], [netns, 'eth0'], env.mtuBytes)
    await this.netns.batch([`link set ${port} master ${bridge}`])
    const container = new Container(name, netns, [])
    if (env.subnet !== '') {
      await this.addAddresses(container, options.addresses ?? 1)
      await netns.batch([`route add default via ${env.subnet.replace(/\/.*/, '')}`])
    }
    if (env.subnet6 !== undefined) await this.#addAddress6(container, env.subnet6)
    this.containers.push(container)
    return container
  }

  /** Puts the next free addresses of the subnet on a container. */
  async addAddresses(container: Container, count: number): Promise<readonly string[]> {
    const subnet = Cidr.parse((await this.subnetEnv()).subnet)
    if (subnet?.family !== 4) throw new Error(`no IPv4 subnet on ${this.name}`)
    const first = this.#nextAddress ?? subnet.address + 1
    const addresses = Array.from({ length: count }, (_, i) => Ipv4.of(first + i))
    if (!addresses.every((ip) => Cidr.contains(subnet, ip))) throw new Error(`${this.name}: subnet is full`)
    this.#nextAddress = first + count
    const printed = addresses.map(Ipv4.print)
    await container.netns.batch(printed.map((ip) => `addr add ${ip}/${subnet.length} dev eth0`))
    if (count > 1) await this.#pinNeighbours(container, printed)
    container.holds(printed)
    return printed
  }

  async destroy(): Promise<void> {
    await this.agent?.kill()
    await Promise.all(this.containers.map((container) => container.stop()))
    for (const container of this.containers) await container.netns.remove()
    await this.netns.remove()
    await rm(this.#setup.folder, { recursive: true, force: true })
  }

  /** The bridge keeps its address when the agent is restarted; a new subnet needs a new host. */
  async #addBridge({ subnet, subnet6, mtuBytes }: SubnetEnv): Promise<void> {
    await this.netns.batch([`link add ${bridge} mtu ${mtuBytes} type bridge`])
    if (subnet6 !== undefined) await this.netns.enableIpv6(bridge)
    await this.netns.batch([
      ...(subnet === '' ? [] : [`addr add ${subnet} dev ${bridge}`]),
      ...(subnet6 === undefined ? [] : [`addr add ${subnet6} dev ${bridge} nodad`]),
      `link set ${bridge} up`,
    ])
  }

  /** The n-th container has the n-th address behind the bridge's. */
  async #addAddress6(container: Container, bridgeAddress: string): Promise<void> {
    const [gateway = '', length = ''] = bridgeAddress.split('/')
    const address = gateway.replace(/1$/, (this.containers.length + 2).toString(16))
    await container.netns.enableIpv6('lo')
    await container.netns.enableIpv6('eth0')
    await container.netns.batch([
      `addr add ${address}/${length} dev eth0 nodad`,
      `route add default via ${gateway}`,
    ])
    container.address6 = address
  }

  // The kernel's neighbour cache is one for all namespaces and collected above 512 rows; permanent rows
  // don't count. Without them a thousand local addresses would lose packets on the local bridge.
  async #pinNeighbours(container: Container, addresses: readonly string[]): Promise<void> {
    const [link] = JSON.parse(await container.netns.ip('-j', 'link', 'show', 'eth0')) as { address: string }[]
    const row = (ip: string) =>
      `neigh replace ${ip} lladdr ${link?.address ?? ''} dev ${bridge} nud permanent`
    await this.netns.batch(addresses.map(row))
  }

  #pathFlags(): readonly string[] {
    const { stateDir, runDir, subnetFile } = this.paths
    return ['--state-dir', stateDir, '--run-dir', runDir, '--subnet-file', subnetFile]
  }
}
