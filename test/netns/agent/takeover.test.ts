import { readFile, writeFile } from 'node:fs/promises'
import { expect } from 'chai'
import type { Container } from '../../support/container.ts'
import type { Host } from '../../support/host.ts'
import { Lab, prefix } from '../../support/lab.ts'
import { eventually } from '../../support/process.ts'
import { lostDuring } from '../../support/traffic.ts'

const macs = ['c6:d2:32:6f:8f:41', 'c6:d2:32:6f:8f:42'] as const
const subnets = ['10.5.160.0/24', '10.5.161.0/24'] as const
const record = (host: Host, mac: string) =>
  `{"PublicIP":"${host.address}","PublicIPv6":null,"BackendType":"vxlan","BackendData":{"VNI":1,"VtepMAC":"${mac}"}}`
const subnetEnv = (subnet: string) =>
  `FLANNEL_NETWORK=10.5.0.0/16\nFLANNEL_SUBNET=${subnet.replace('.0/', '.1/')}\nFLANNEL_MTU=1450\nFLANNEL_IPMASQ=false\n`

/** What flannel v0.28 puts into the kernel for a peer (backend/vxlan/vxlan_network.go). */
const addPeer = async (host: Host, peer: Host, n: 0 | 1) => {
  const hop = subnets[n].replace('/24', '')
  await host.netns.bridge(
    'fdb',
    'replace',
    macs[n],
    'dev',
    'flannel.1',
    'dst',
    peer.address,
    'self',
    'permanent',
  )
  await host.netns.batch([
    `neigh replace ${hop} lladdr ${macs[n]} dev flannel.1 nud permanent`,
    `route replace ${subnets[n]} via ${hop} dev flannel.1 onlink`,
  ])
}

/** What flannel leaves on a host and in etcd. */
const runFlannel = async (lab: Lab, host: Host, n: 0 | 1) => {
  const own = subnets[n].replace('/24', '/32')
  await host.netns.batch([
    `link add flannel.1 address ${macs[n]} mtu 1450 type vxlan id 1 local ${host.address} dev eth0 dstport 8472 nolearning`,
    `addr add ${own} dev flannel.1`,
    'link set flannel.1 up',
  ])
  await host.netns.sysctl('net.ipv4.ip_forward', '1')
  await writeFile(host.paths.subnetFile, subnetEnv(subnets[n]))
  const lease = /lease (\w+) granted/.exec(await lab.etcdctl('lease', 'grant', '86400'))?.[1] ?? ''
  const key = `${prefix}/subnets/${subnets[n].replace('/', '-')}`
  await lab.etcdctl('put', `--lease=${lease}`, key, record(host, macs[n]))
}

const deviceOf = async (host: Host) =>
  (
    JSON.parse(await host.exec('ip', '-j', '-d', 'link', 'show', 'flannel.1')) as readonly {
      readonly ifindex: number
      readonly address: string
      readonly mtu: number
      readonly linkinfo: {
        readonly info_data: { readonly id: number; readonly local: string; readonly port: number }
      }
    }[]
  )[0]

for (const resolve of ['eager', 'on-miss'] as const)
  describe(`agent in the place of flannel, and flannel in its place again (${resolve})`, () => {
    let lab: Lab
    let h1: Host
    let h2: Host
    let a: Container
    let b: Container

    before(async () => {
      const agentFlags = ['--resolve', resolve, '--device', 'flannel.1']
      lab = await Lab.create({ hosts: 2, agentFlags })
      ;[h1, h2] = [lab.host(1), lab.host(2)]
      await runFlannel(lab, h1, 0)
      await runFlannel(lab, h2, 1)
      await addPeer(h1, h2, 1)
      await addPeer(h2, h1, 0)
      a = await h1.addContainer('a')
      b = await h2.addContainer('b')
    })
    after(() => lab.destroy())

    it('takes device, MAC, lease, routes and subnet.env as they stand: 0 lost', async () => {
      const before = await deviceOf(h1)
      const lost = await lostDuring(a, b, async () => {
        await (await h1.startAgent()).waitReady()
        const ours = ['ip', 'route', 'show', 'proto', '84'] as const
        const route = resolve === 'eager' ? subnets[1] : '10.5.0.0/16'
        await eventually('our routes', async () => (await h1.exec(...ours)).includes(route) || undefined)
      })
      expect(lost).to.equal(0)
      expect(await deviceOf(h1)).to.deep.include({ ifindex: before?.ifindex, address: macs[0], mtu: 1450 })
      expect((await h1.status()).lease).to.include({ state: 'owned', subnet: subnets[0] })
      expect(await readFile(h1.paths.subnetFile, 'utf8')).to.equal(subnetEnv(subnets[0]))
      const kept = (await lab.etcdEntries()).find(({ key }) => key.endsWith('10.5.160.0-24'))
      expect(kept?.isLeased).to.equal(true)
      expect(kept?.value.startsWith(record(h1, macs[0]).slice(0, -1)), kept?.value).to.equal(true)
    })

    it('leaves them so that flannel can take them again: 0 lost', async () => {
      const before = await deviceOf(h1)
      const lost = await lostDuring(a, b, async () => {
        await h1.agent?.kill('SIGTERM')
        // What flanneld does at its start: the device is compared, the lease found by PublicIP, rows are replaced.
        expect(await deviceOf(h1)).to.deep.include({ ifindex: before?.ifindex, address: macs[0] })
        const { linkinfo } = (await deviceOf(h1)) ?? {}
        expect(linkinfo?.info_data).to.include({ id: 1, local: h1.address, port: 8472 })
        await h1.netns.ip('addr', 'replace', '10.5.160.0/32', 'dev', 'flannel.1')
        await addPeer(h1, h2, 1)
      })
      expect(lost).to.equal(0)
      const route = await h1.exec('ip', 'route', 'show', subnets[1])
      expect(route.trim().split('\n')).to.have.length(1)
      expect(route).to.not.contain('proto 84')
    })

    it('and takes them back once more: 0 lost', async () => {
      const lost = await lostDuring(a, b, async () => {
        await (await h1.startAgent()).waitReady()
      })
      expect(lost).to.equal(0)
      expect((await h1.status()).lease).to.include({ subnet: subnets[0] })
    })
  })
