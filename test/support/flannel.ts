import { writeFile } from 'node:fs/promises'
import type { Host } from './host.ts'
import { type Lab, prefix } from './lab.ts'

/** What flannel knows of a dual-stack peer. */
export interface DualPeer {
  readonly subnet: string
  readonly subnet6: string
  readonly publicIp: string
  readonly publicIp6: string
  readonly macs: readonly [string, string]
}

/** What flannel v0.28 leaves of itself on a dual-stack host and in etcd, written by hand. */
export class DualFlannel {
  readonly key: string
  readonly macs: readonly [string, string]
  readonly peer: DualPeer
  readonly #lab: Lab
  readonly #host: Host
  readonly #number: number

  /** On the host with this number: its subnets are 10.5.(159 + n).0/24 and fc00:0:0:(159 + n)::/64. */
  constructor(lab: Lab, number: number) {
    this.#lab = lab
    this.#host = lab.host(number)
    this.#number = number
    this.macs = [`c6:d2:32:6f:8f:4${String(number)}`, `c6:d2:32:6f:8f:6${String(number)}`]
    const [stem, stem6] = this.#stems()
    this.key = `${stem}.0-24&${stem6}::-64`
    this.peer = {
      subnet: `${stem}.0/24`,
      subnet6: `${stem6}::/64`,
      publicIp: `192.0.2.${String(10 + number)}`,
      publicIp6: `2001:db8::${String(10 + number)}`,
      macs: this.macs,
    }
  }

  get record(): string {
    const { publicIp, publicIp6, macs } = this.peer
    return `{"PublicIP":"${publicIp}","PublicIPv6":"${publicIp6}","BackendType":"vxlan","BackendData":{"VNI":1,"VtepMAC":"${macs[0]}"},"BackendV6Data":{"VNI":1,"VtepMAC":"${macs[1]}"}}`
  }

  get subnetEnv(): string {
    const [stem, stem6] = this.#stems()
    return (
      `FLANNEL_NETWORK=10.5.0.0/16\nFLANNEL_SUBNET=${stem}.1/24\nFLANNEL_IPV6_NETWORK=fc00::/48\n` +
      `FLANNEL_IPV6_SUBNET=${stem6}::1/64\nFLANNEL_MTU=1430\nFLANNEL_IPMASQ=false\n`
    )
  }

  async start(): Promise<void> {
    const { netns, paths } = this.#host
    const { publicIp, publicIp6 } = this.peer
    const [stem, stem6] = this.#stems()
    const common = 'mtu 1430 type vxlan id 1 dev eth0 dstport 8472 nolearning'
    await netns.batch([
      `link add flannel.1 address ${this.macs[0]} ${common} local ${publicIp}`,
      `link add flannel-v6.1 address ${this.macs[1]} ${common} local ${publicIp6} udp6zerocsumrx`,
    ])
    await netns.enableIpv6('flannel-v6.1')
    await netns.batch([
      `addr add ${stem}.0/32 dev flannel.1`,
      `addr add ${stem6}::/128 dev flannel-v6.1 nodad`,
      'link set flannel.1 up',
      'link set flannel-v6.1 up',
    ])
    await netns.sysctl('net.ipv4.ip_forward', '1')
    await netns.sysctl('net.ipv6.conf.all.forwarding', '1')
    await writeFile(paths.subnetFile, this.subnetEnv)
    const lease = /lease (\w+) granted/.exec(await this.#lab.etcdctl('lease', 'grant', '86400'))?.[1] ?? ''
    await this.#lab.etcdctl('put', `--lease=${lease}`, `${prefix}/subnets/${this.key}`, this.record)
  }

  /** Rows as flannel writes them at its start and with every event (backend/vxlan/vxlan_network.go). */
  async addPeer({ subnet, subnet6, publicIp, publicIp6, macs }: DualPeer): Promise<void> {
    const { netns } = this.#host
    const ways = [
      { device: 'flannel.1', to: subnet, dst: publicIp, mac: macs[0] },
      { device: 'flannel-v6.1', to: subnet6, dst: publicIp6, mac: macs[1] },
    ]
    for (const { device, to, dst, mac } of ways) {
      const hop = to.replace(/\/.*/, '')
      await netns.bridge('fdb', 'replace', mac, 'dev', device, 'dst', dst, 'self', 'permanent')
      await netns.batch([
        `neigh replace ${hop} lladdr ${mac} dev ${device} nud permanent`,
        `route replace ${to} via ${hop} dev ${device} onlink`,
      ])
    }
  }

  #stems(): readonly [string, string] {
    return [`10.5.${String(159 + this.#number)}`, `fc00:0:0:${String(159 + this.#number)}`]
  }
}
