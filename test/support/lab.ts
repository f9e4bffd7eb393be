import { mkdir, mkdtemp, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { Host } from './host.ts'
import { Netns, veth } from './netns.ts'
import { CommandFailed, eventually } from './process.ts'
import { Etcd, type EtcdOptions } from './etcd.ts'

export interface LabOptions {
  /** How many; named h1, h2, … with the underlay addresses 192.0.2.11, 192.0.2.12, … */
  readonly hosts: number
  /** Of the network that is written to etcd before any agent starts; undefined writes none. */
  readonly config?: object | undefined
  /** How many etcd members on machines of their own, at 192.0.2.2, 192.0.2.3, …; by default etcd is 192.0.2.1. */
  readonly etcdMembers?: number
  /** The underlay carries IPv6 too: 2001:db8::11, 2001:db8::12, …; `only` keeps IPv4 from the hosts. */
  readonly ipv6?: boolean | 'only'
  /** How etcd is served: TLS, and further flags. */
  readonly etcd?: Pick<EtcdOptions, 'tls' | 'flags'>
  /** Flags of every agent, before those of a single start. */
  readonly agentFlags?: readonly string[]
  /** Command line of `tweed`: the built program, unless `TWEED_PROGRAM` or this names another. */
  readonly program?: readonly string[]
}

export const defaultConfig = { Network: '10.5.0.0/16', Backend: { Type: 'vxlan' } }
export const prefix = '/coreos.com/network'
const underlayAddress = '192.0.2.1'
const underlayAddress6 = '2001:db8::1'

/** Command line of `tweed`, as built. */
export const builtProgram = (): readonly string[] =>
  process.env['TWEED_PROGRAM']?.split(' ') ?? [
    process.execPath,
    new URL('../../dist/main.js', import.meta.url).pathname,
  ]

/** Names of namespaces are unique within the enclosure, so that labs can follow each other closely. */
let labs = 0

/**
 * An underlay with etcd at 192.0.2.1:2379, and hosts on it. All of it lives in namespaces and goes with
 * {@link destroy}, or with the enclosure around it.
 */
export class Lab {
  readonly underlay: Netns
  readonly hosts: readonly Host[]
  /** As `--etcd-endpoints` takes it. */
  readonly endpoint: string
  /** Where the etcd members are, if each has a machine of its own. */
  readonly memberNetns: readonly Netns[]
  readonly hasIpv6: boolean
  readonly #folder: string
  readonly etcd: Etcd

  private constructor({ underlay, etcd, hosts, folder, memberNetns, hasIpv6 }: LabParts) {
    this.hasIpv6 = hasIpv6
    this.underlay = underlay
    this.etcd = etcd
    this.endpoint = etcd.endpoints
    this.hosts = hosts
    this.memberNetns = memberNetns
    this.#folder = folder
  }

  static async create(options: LabOptions): Promise<Lab> {
    const name = labs++ === 0 ? '' : `lab${labs}-`
    const underlay = await Netns.add(`${name}underlay`)
    // /run is the enclosure's own tmpfs: no disk delays etcd, and nothing remains.
    const folder = await mkdtemp('/run/tweed-lab-')
    await underlay.batch([
      'link add br0 type bridge',
      `addr add ${underlayAddress}/24 dev br0`,
      'link set br0 up',
    ])
    if (options.ipv6) {
      for (const name of ['lo', 'br0']) await underlay.enableIpv6(name)
      await underlay.batch([`addr add ${underlayAddress6}/64 dev br0 nodad`])
    }
    const memberNetns: Netns[] = []
    for (let i = 0; i < (options.etcdMembers ?? 0); i++)
      memberNetns.push(
        await connectMachine(underlay, { name: `m${i}`, netns: `${name}m${i}`, address: `192.0.2.${2 + i}` }),
      )
    const machines = memberNetns.map((netns, i) => ({ wrap: netns.wrap([]), address: `192.0.2.${2 + i}` }))
    const etcd = await Etcd.start({
      ...{
        wrap: underlay.wrap([]),
        listen: options.ipv6 === 'only' ? `[${underlayAddress6}]` : underlayAddress,
      },
      port: 2379,
      ...(machines.length > 0 && { machines }),
      ...options.etcd,
    })
    try {
      const hosts: Host[] = []
      for (let i = 1; i <= options.hosts; i++) {
        const place = { options, name: `h${i}`, netns: `${name}h${i}`, index: i, folder }
        hosts.push(await addHost(underlay, { ...place, endpoints: etcd.endpoints }))
      }
      const lab = new Lab({ underlay, etcd, hosts, folder, memberNetns, hasIpv6: Boolean(options.ipv6) })
      const config = 'config' in options ? options.config : defaultConfig
      if (config !== undefined) await lab.putConfig(config)
      return lab
    } catch (error) {
      await etcd.stop()
      throw error
    }
  }

  /** The host with this number, from 1, as in its name. */
  host(number: number): Host {
    const host = this.hosts[number - 1]
    if (!host) throw new Error(`there is no h${number}`)
    return host
  }

  /** Starts an agent on every host at once and waits until all are ready and know each other. */
  async startAgents(extraFlags: readonly string[] = []): Promise<void> {
    await Promise.all(
      this.hosts.map(async (host) => {
        const agent = await host.startAgent(extraFlags)
        await agent.waitReady()
        await eventually(`${host.name} knows all others`, async () =>
          (await agent.status())?.peers.total === this.hosts.length - 1 ? true : undefined,
        ).catch((error: unknown) => {
          throw new Error([String(error), ...this.hosts.map(lastWords)].join('\n'))
        })
      }),
    )
  }

  etcdctl(...args: readonly string[]): Promise<string> {
    return this.etcd.ctl(...args)
  }

  putConfig(config: object): Promise<string> {
    return this.etcdctl('put', `${prefix}/config`, JSON.stringify(config))
  }

  /** Grows with every write to etcd, by anybody; a keep-alive is none. */
  etcdRevision(): Promise<number> {
    return this.etcd.revision()
  }

  /** Seconds that a lease has left in etcd; `id` is decimal, undefined where etcd doesn't know it. */
  async leaseSeconds(id: string): Promise<number | undefined> {
    const hex = BigInt(id).toString(16)
    const { ttl } = JSON.parse(await this.etcdctl('lease', 'timetolive', hex, '-w', 'json')) as {
      ttl: number
    }
    return ttl < 0 ? undefined : ttl
  }

  /** Keys and values below the prefix, in the order of the keys. */
  async etcdEntries(below = prefix): Promise<readonly EtcdEntry[]> {
    const answer = JSON.parse(await this.etcdctl('get', '-w', 'json', '--prefix', below)) as {
      kvs?: { key: string; value: string; lease?: number; mod_revision: number }[]
    }
    const text = (base64: string) => Buffer.from(base64, 'base64').toString()
    return (answer.kvs ?? []).map((kv) => ({
      key: text(kv.key),
      value: text(kv.value),
      revision: kv.mod_revision,
      isLeased: kv.lease !== undefined && kv.lease !== 0,
    }))
  }

  /** Stops every process and removes every namespace and file; goes on where a part has gone already. */
  async destroy(): Promise<void> {
    const tryTo = (work: Promise<unknown>) =>
      work.catch((error: unknown) => {
        if (!(error instanceof CommandFailed)) throw error
      })
    await Promise.all(this.hosts.map((host) => tryTo(host.destroy())))
    await this.etcd.stop()
    for (const netns of [...this.memberNetns, this.underlay]) await tryTo(netns.remove())
    await rm(this.#folder, { recursive: true, force: true })
  }
}

/** For a message: who is missing may be the one that knows why. */
const lastWords = ({ name, agent }: Host): string =>
  `${name}:\n${agent?.logs.slice(-10).join('\n') ?? 'no agent'}`

export interface EtcdEntry {
  readonly key: string
  readonly value: string
  readonly revision: number
  readonly isLeased: boolean
}

interface LabParts {
  readonly hasIpv6: boolean
  readonly underlay: Netns
  readonly etcd: Etcd
  readonly hosts: readonly Host[]
  readonly folder: string
  readonly memberNetns: readonly Netns[]
}

interface HostPlace {
  readonly options: LabOptions
  readonly endpoints: string
  readonly name: string
  readonly netns: string
  readonly index: number
  readonly folder: string
}

/** Under the number that its IPv4 address ends with. */
const addIpv6 = async (netns: Netns, number: number): Promise<void> => {
  await netns.enableIpv6('lo')
  await netns.enableIpv6('eth0')
  await netns.batch([
    `addr add 2001:db8::${number}/64 dev eth0 nodad`,
    `route add default via ${underlayAddress6}`,
  ])
}

/** A new machine on the underlay; `name` is that of its port there. */
const connectMachine = async (
  underlay: Netns,
  machine: { readonly name: string; readonly netns: string; readonly address: string },
): Promise<Netns> => {
  const netns = await Netns.add(machine.netns)
  await veth([underlay, machine.name], [netns, 'eth0'])
  await underlay.batch([`link set ${machine.name} master br0`])
  await netns.batch([`addr add ${machine.address}/24 dev eth0`, `route add default via ${underlayAddress}`])
  return netns
}

const addHost = async (underlay: Netns, place: HostPlace): Promise<Host> => {
  const address = `192.0.2.${10 + place.index}`
  const netns = await connectMachine(underlay, { ...place, address })
  const { ipv6 } = place.options
  if (ipv6) await addIpv6(netns, 10 + place.index)
  if (ipv6 === 'only') await netns.batch([`addr del ${address}/24 dev eth0`])
  const folder = join(place.folder, place.name)
  await mkdir(folder)
  return new Host({
    name: place.name,
    netns,
    address: ipv6 === 'only' ? `2001:db8::${10 + place.index}` : address,
    folder,
    program: place.options.program ?? builtProgram(),
    agentFlags: [
      ...['--etcd-endpoints', place.endpoints, '--etcd-prefix', prefix, '--log-format', 'json'],
      ...(place.options.agentFlags ?? []),
    ],
  })
}
