import { readFile, writeFile } from 'node:fs/promises'
import { expect } from 'chai'
import type { Container } from '../../support/container.ts'
import type { Host } from '../../support/host.ts'
import { Lab, prefix } from '../../support/lab.ts'
import { etcdFlags, fileFlags, halfConfig, peerBecomes, statusBecomes, told } from '../../support/overlay.ts'

const flannelSubnet = '10.5.160.0/24'
const flannelMac = 'c6:d2:32:6f:8f:44'
const record = (publicIp: string, mac: string) =>
  `{"PublicIP":"${publicIp}","PublicIPv6":null,"BackendType":"vxlan","BackendData":{"VNI":1,"VtepMAC":"${mac}"}}`

/** What flannel v0.28 leaves on a host at its start: device, subnet.env, a record on a 24 h lease of its own. */
const startFlannel = async (lab: Lab, host: Host) => {
  await host.netns.batch([
    `link add flannel.1 address ${flannelMac} mtu 1450 type vxlan id 1 local ${host.address} dev eth0 dstport 8472 nolearning`,
    'addr add 10.5.160.0/32 dev flannel.1',
    'link set flannel.1 up',
  ])
  await host.netns.sysctl('net.ipv4.ip_forward', '1')
  await writeFile(
    host.paths.subnetFile,
    'FLANNEL_NETWORK=10.5.0.0/16\nFLANNEL_SUBNET=10.5.160.1/24\nFLANNEL_MTU=1450\nFLANNEL_IPMASQ=false\n',
  )
  await renewFlannel(lab, host)
}

/** Flannel's renewal: the same value again, on a new lease. */
const renewFlannel = async (lab: Lab, host: Host) => {
  const lease = /lease (\w+) granted/.exec(await lab.etcdctl('lease', 'grant', '86400'))?.[1] ?? ''
  await lab.etcdctl(
    'put',
    `--lease=${lease}`,
    `${prefix}/subnets/10.5.160.0-24`,
    record(host.address, flannelMac),
  )
}

interface FlannelRecord {
  readonly PublicIP: string
  readonly PublicIPv6: null
  readonly BackendType: string
  readonly BackendData: { readonly VNI: number; readonly VtepMAC: string }
}

/** What flannel does about a record of ours, read with nothing but its own fields. */
const addPeerAsFlannel = async (lab: Lab, host: Host, peer: Host) => {
  const { key = '' } = (await peer.status()).lease ?? {}
  const entry = (await lab.etcdEntries()).find((candidate) => candidate.key === `${prefix}/subnets/${key}`)
  const { PublicIP, BackendType, BackendData } = JSON.parse(entry?.value ?? '{}') as FlannelRecord
  expect(BackendType).to.equal('vxlan')
  const subnet = key.replace('-', '/')
  const hop = subnet.replace(/\/.*/, '')
  await host.netns.bridge('fdb', 'replace', BackendData.VtepMAC, 'dev', 'flannel.1', 'dst', PublicIP, 'self', 'permanent') // prettier-ignore
  await host.netns.batch([
    `neigh replace ${hop} lladdr ${BackendData.VtepMAC} dev flannel.1 nud permanent`,
    `route replace ${subnet} via ${hop} dev flannel.1 onlink`,
  ])
}

for (const resolve of ['eager', 'on-miss'] as const)
  describe(`agent and flannel in one network (${resolve})`, () => {
    let lab: Lab
    let ours: Container
    let flannels: Container

    before(async () => {
      lab = await Lab.create({ hosts: 4, config: halfConfig, agentFlags: ['--resolve', resolve] })
      await startFlannel(lab, lab.host(2))
      await (await lab.host(1).startAgent()).waitReady()
      await addPeerAsFlannel(lab, lab.host(2), lab.host(1))
      ours = await lab.host(1).addContainer('ours')
      flannels = await lab.host(2).addContainer('flannels')
      await peerBecomes(lab.host(1), flannelSubnet, (peer) => peer !== undefined)
    })
    after(() => lab.destroy())

    it('reach each other in both directions, first packet included', async () => {
      expect(await ours.ping(flannels.address, { count: 3 })).to.include({ sent: 3, received: 3 })
      expect(await flannels.ping(ours.address, { count: 3 })).to.include({ sent: 3, received: 3 })
    })

    it('share records: ours is one of flannel with a field more, under keys that flannel can parse', async () => {
      const { key = '' } = (await lab.host(1).status()).lease ?? {}
      const entries = await lab.etcdEntries()
      const own = entries.find((entry) => entry.key.endsWith(key))
      const value = JSON.parse(own?.value ?? '') as Record<string, unknown>
      const mac = (await lab.host(1).status()).device?.mac ?? ''
      expect(value).to.deep.include(JSON.parse(record('192.0.2.11', mac)) as object)
      expect(own?.value.startsWith(record('192.0.2.11', mac).slice(0, -1)), own?.value).to.equal(true)
      expect(own?.isLeased).to.equal(true)
      const subnetKeys = entries
        .map((entry) => entry.key)
        .filter((name) => name.startsWith(`${prefix}/subnets`))
      for (const name of subnetKeys) expect(name).to.match(/\/subnets\/[\d.]+-\d+$/)
    })

    it('renew without a write to our kernel', async () => {
      const host = lab.host(1)
      const monitor = await host.monitorWrites()
      await renewFlannel(lab, lab.host(2))
      const revision = await lab.etcdRevision()
      await statusBecomes(host, 'the renewal is seen', ({ etcd }) => etcd.revision >= revision)
      expect((await monitor.stop()).filter((line) => line.includes(flannelMac))).to.deep.equal([])
    })

    for (const [what, key, value] of [
      ['an old record without VNI', '10.5.161.0-24', '{"PublicIP":"198.51.100.61","BackendType":"vxlan","BackendData":{"VtepMAC":"02:00:5e:00:01:61"}}'], // prettier-ignore
      ['keys in any case', '10.5.162.0-24', '{"publicip":"198.51.100.62","backendtype":"vxlan","BACKENDDATA":{"vni":1,"vtepmac":"02:00:5e:00:01:62"}}'], // prettier-ignore
      ['a dual-stack record', '10.5.163.0-24&fc00:0:0:1::-64', '{"PublicIP":"198.51.100.63","PublicIPv6":"2001:db8::63","BackendType":"vxlan","BackendData":{"VNI":1,"VtepMAC":"02:00:5e:00:01:63"},"BackendV6Data":{"VNI":1,"VtepMAC":"02:00:5e:00:02:63"}}'], // prettier-ignore
    ] as const)
      it(`understands ${what}`, async () => {
        await lab.etcdctl('put', `${prefix}/subnets/${key}`, value)
        const subnet = key.replace(/-24.*/, '/24')
        const state = resolve === 'eager' ? 'programmed' : 'idle'
        const peer = await peerBecomes(lab.host(1), subnet, (known) => known?.state === state)
        expect(peer?.publicIp).to.equal(`198.51.100.${subnet.slice(6, 8)}`)
      })

    /** One that no host has drawn. */
    const freeNumber = async (): Promise<number> => {
      const keys = (await lab.etcdEntries()).map(({ key }) => key)
      const isFree = (number: number) => !keys.includes(`${prefix}/subnets/10.5.${String(number)}.0-24`)
      return [88, 89, 90, 91, 92, 93, 94, 95].find(isFree) ?? 0
    }

    it('keep a reservation one: it is taken without a lease, and stays after we leave', async () => {
      const host = lab.host(3)
      const number = String(await freeNumber())
      const key = `${prefix}/subnets/10.5.${number}.0-24`
      await lab.etcdctl('put', key, record(host.address, '02:00:5e:00:01:77'))
      await (await host.startAgent()).waitReady()
      const { lease } = await host.status()
      expect(lease).to.include({ subnet: `10.5.${number}.0/24`, leaseId: '0', remainingSeconds: null })
      const find = async () => (await lab.etcdEntries()).find((entry) => entry.key === key)
      expect(await find()).to.include({ isLeased: false })
      expect((await find())?.value).to.contain((await host.status()).device?.mac)
      const left = await host.tweed('leave', ...etcdFlags(lab), ...fileFlags(host))
      expect(left.code, told(left)).to.equal(0)
      expect(await find()).to.include({ isLeased: false })
    })

    it('hand over: the subnet that subnet.env names is taken again if it is free', async () => {
      const host = lab.host(4)
      const number = String(await freeNumber())
      const before = `FLANNEL_NETWORK=10.5.0.0/16\nFLANNEL_SUBNET=10.5.${number}.1/24\nFLANNEL_MTU=1450\nFLANNEL_IPMASQ=false\n` // prettier-ignore
      await writeFile(host.paths.subnetFile, before)
      await (await host.startAgent()).waitReady()
      expect((await host.status()).lease?.subnet).to.equal(`10.5.${number}.0/24`)
      expect(await readFile(host.paths.subnetFile, 'utf8')).to.equal(before)
    })

    it('write the same subnet.env, byte for byte', async () => {
      const { subnet = '' } = (await lab.host(1).status()).lease ?? {}
      const text = `FLANNEL_NETWORK=10.5.0.0/16\nFLANNEL_SUBNET=${subnet.replace('.0/24', '.1/24')}\nFLANNEL_MTU=1450\nFLANNEL_IPMASQ=false\n`
      expect(await readFile(lab.host(1).paths.subnetFile, 'utf8')).to.equal(text)
    })
  })
