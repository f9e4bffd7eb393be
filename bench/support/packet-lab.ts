import type { Container } from '../../test/support/container.ts'
import { Daemon, output } from '../../test/support/process.ts'
import { BenchLab } from './bench-lab.ts'
import { containerAddress, numbers, vtepNetwork } from './peers.ts'
import { isAtRest } from './wait.ts'
import { yardstick } from './yardstick.ts'

const probePort = '7'
const vxlanPort = '8472'
const device = 'tweed.1'

/** Who answers the misses: the agent, or the C program with the asked address alone or with all that tweed writes. */
export type Responder = 'tweed' | 'c2' | 'c4'

export interface ProbeOptions {
  /** 0: as fast as they can be sent. */
  readonly intervalUs: number
  /** How long the last answers are awaited; the kernel asks again after one second and gives up after three. */
  readonly patienceMs?: number
}

/**
 * h1 with a container that sends, and h2 in the place of all other hosts: it has every underlay address of the
 * peers, and a C program that returns whatever arrives for any of them.
 */
export class PacketLab {
  readonly bench: BenchLab
  readonly #peers: number
  readonly #container: Container
  readonly #vtep: Daemon
  #responder: Daemon | undefined

  private constructor(bench: BenchLab, parts: { peers: number; container: Container; vtep: Daemon }) {
    this.bench = bench
    this.#peers = parts.peers
    this.#container = parts.container
    this.#vtep = parts.vtep
  }

  static async create(peers: number, agentFlags: readonly string[] = []): Promise<PacketLab> {
    const bench = await BenchLab.create({ hosts: 2, agentFlags: ['--resolve', 'on-miss', ...agentFlags] })
    const [near, far] = [bench.lab.host(1), bench.lab.host(2)]
    await near.netns.batch([`route add ${vtepNetwork} via ${far.address}`])
    await far.netns.batch([`route add local ${vtepNetwork} dev lo`])
    const vtep = far.netns.start(await yardstick('vtep'), vxlanPort)
    await vtep.line(/^listening$/)
    await bench.putPeers(peers)
    await near.startAgent()
    await isAtRest(near, peers)
    const container = await near.addContainer('sender')
    return new PacketLab(bench, { peers, container, vtep })
  }

  /** A device without a row, and this responder beside it, fresh from its start. */
  async begin(responder: Responder): Promise<void> {
    const { host } = this.bench
    await this.#responder?.kill()
    await host.agent?.kill('SIGKILL')
    await host.exec('ip', 'link', 'del', device).catch(() => '')
    if (responder === 'tweed') {
      await host.startAgent()
      await isAtRest(host, this.#peers)
      return
    }
    await host.netns.batch([
      `link add ${device} type vxlan id 1 local ${host.address} dev eth0 dstport ${vxlanPort} nolearning`,
      `addr add ${(await host.subnetEnv()).subnet.replace(/\.1\/.*/, '.0/32')} dev ${device}`,
      `link set ${device} mtu 1450 up`,
      `route add 10.0.0.0/8 dev ${device} proto 84`,
    ])
    const parameters = { app_solicit: 3, ucast_solicit: 0, mcast_solicit: 0 }
    for (const [name, value] of Object.entries(parameters))
      // With slashes: the device has a dot in its name.
      await host.exec('sh', '-c', `echo ${value} > /proc/sys/net/ipv4/neigh/${device}/${name}`)
    const argv = [await yardstick('responder'), device, String(this.#peers), responder === 'c2' ? '2' : '4']
    this.#responder = host.netns.start(...argv)
    await this.#responder.line(/^listening$/)
  }

  /** One datagram to a container of each of these peers; µs until it came back, undefined where it did not. */
  async probe(count: number, from: number, options: ProbeOptions): Promise<readonly (number | undefined)[]> {
    const { intervalUs, patienceMs = 4000 } = options
    const argv = [await yardstick('probe'), probePort, String(intervalUs), String(patienceMs)]
    const printed = await output(
      this.#container.netns.wrap(argv),
      numbers(count, from).map((i) => `${containerAddress(i)}\n`).join(''), // prettier-ignore
    )
    const times = printed.trim().split('\n').map(Number)
    return times.map((us) => (us < 0 ? undefined : us))
  }

  async destroy(): Promise<void> {
    await this.#responder?.kill()
    await this.#vtep.kill()
    await this.bench.destroy()
  }
}

export const answered = (times: readonly (number | undefined)[]): readonly number[] =>
  times.filter((us) => us !== undefined)
