import { writeFile } from 'node:fs/promises'
import { type Family, ipv4, ipv6 } from './families.ts'
import type { Host } from './host.ts'
import { type Lab, prefix } from './lab.ts'

/** What flannel knows of a host in one family. */
export interface FlannelLeg {
  readonly subnet: string
  readonly publicIp: string
  readonly mac: string
}

interface OwnLeg extends FlannelLeg {
  readonly family: Family
  /** First address of the subnet, which the device has, without a length. */
  readonly first: string
}

const devices = ['flannel.1', 'flannel-v6.1']

/** What flannel v0.28 leaves of itself on a host and in etcd, written by hand: IPv4, and IPv6 if the underlay has it. */
export class Flannel {
  readonly key: string
  readonly legs: readonly OwnLeg[]
  /** Of its legs, in the same order. */
  readonly devices: readonly string[]
  readonly mtuBytes: number
  readonly #lab: Lab
  readonly #host: Host

  /** On the host with this number: its subnets are 10.5.(159 + n).0/24 and fc00:0:0:(159 + n)::/64. */
  constructor(lab: Lab, number: number) {
    this.#lab = lab
    this.#host = lab.host(number)
    const leg = (family: Family, first: string, length: number, mac: string): OwnLeg => ({
      ...{ family, first, mac, subnet: `${first}/${String(length)}` },
      publicIp: family.underlay(10 + number),
    })
    const own = String(159 + number)
    this.legs = [
      leg(ipv4, `10.5.${own}.0`, 24, `c6:d2:32:6f:8f:4${String(number)}`),
      ...(lab.hasIpv6 ? [leg(ipv6, `fc00:0:0:${own}::`, 64, `c6:d2:32:6f:8f:6${String(number)}`)] : []),
    ]
    this.devices = devices.slice(0, this.legs.length)
    this.mtuBytes = lab.hasIpv6 ? 1430 : 1450
    this.key = this.legs.map(({ subnet }) => subnet.replace('/', '-')).join('&')
  }

  get record(): string {
    const [four, six] = this.legs
    const data = (leg: OwnLeg | undefined) => leg && { VNI: 1, VtepMAC: leg.mac }
    return JSON.stringify({
      PublicIP: four?.publicIp,
      PublicIPv6: six?.publicIp ?? null,
      BackendType: 'vxlan',
      BackendData: data(four),
      BackendV6Data: data(six),
    })
  }

  get subnetEnv(): string {
    const networks = [
      'FLANNEL_NETWORK=10.5.0.0/16\nFLANNEL_SUBNET',
      'FLANNEL_IPV6_NETWORK=fc00::/48\nFLANNEL_IPV6_SUBNET',
    ]
    const lines = this.legs.map(({ subnet }, i) => `${networks[i] ?? ''}=${subnet.replace(/0?\//, '1/')}\n`)
    return `${lines.join('')}FLANNEL_MTU=${String(this.mtuBytes)}\nFLANNEL_IPMASQ=false\n`
  }

  async start(): Promise<void> {
    const { netns, paths } = this.#host
    const common = `mtu ${String(this.mtuBytes)} type vxlan id 1 dev eth0 dstport 8472 nolearning`
    for (const [i, { family, publicIp, mac }] of this.legs.entries()) {
      const device = devices[i] ?? ''
      const ofIpv6 = family === ipv6 ? ' udp6zerocsumrx' : ''
      await netns.batch([`link add ${device} address ${mac} ${common} local ${publicIp}${ofIpv6}`])
      if (family === ipv6) await netns.enableIpv6(device)
    }
    await this.#addAddresses()
    await netns.batch(this.devices.map((device) => `link set ${device} up`))
    await netns.sysctl('net.ipv4.ip_forward', '1')
    if (this.#lab.hasIpv6) await netns.sysctl('net.ipv6.conf.all.forwarding', '1')
    await writeFile(paths.subnetFile, this.subnetEnv)
    const lease = /lease (\w+) granted/.exec(await this.#lab.etcdctl('lease', 'grant', '86400'))?.[1] ?? ''
    await this.#lab.etcdctl('put', `--lease=${lease}`, `${prefix}/subnets/${this.key}`, this.record)
  }

  /** What it does to the kernel where it finds its devices. */
  async startAgain(peer: readonly FlannelLeg[]): Promise<void> {
    await this.#addAddresses()
    await this.addPeer(peer)
  }

  /** Rows as flannel writes them at its start and with every event (backend/vxlan/vxlan_network.go). */
  async addPeer(peer: readonly FlannelLeg[]): Promise<void> {
    const { netns } = this.#host
    for (const [i, { subnet, publicIp, mac }] of peer.entries()) {
      const device = devices[i] ?? ''
      const hop = subnet.replace(/\/.*/, '')
      await netns.bridge('fdb', 'replace', mac, 'dev', device, 'dst', publicIp, 'self', 'permanent')
      await netns.batch([
        `neigh replace ${hop} lladdr ${mac} dev ${device} nud permanent`,
        `route replace ${subnet} via ${hop} dev ${device} onlink`,
      ])
    }
  }

  async #addAddresses(): Promise<void> {
    const add = ({ family, first }: OwnLeg, i: number) =>
      `addr replace ${first}/${String(family.addressBits)} dev ${devices[i] ?? ''}${family === ipv6 ? ' nodad' : ''}`
    await this.#host.netns.batch(this.legs.map(add))
  }
}
