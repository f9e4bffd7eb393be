import { readFile } from 'node:fs/promises'
import { expect } from 'chai'
import type { Container } from '../../support/container.ts'
import type { Host } from '../../support/host.ts'
import { Flannel, type FlannelLeg } from '../../support/flannel.ts'
import { Lab, prefix } from '../../support/lab.ts'
import { dualConfig, etcdFlags, fdbOf, fileFlags, halfConfig, statusBecomes, tableLines, told } from '../../support/overlay.ts' // prettier-ignore
import { eventually } from '../../support/process.ts'

const device6 = 'tweed-v6.1'
const families = ['address', 'address6'] as const

/** h1 and h2 have both families, h3 is an agent of IPv4 alone, h4 runs flannel. */
describe('agent: dual stack next to others', () => {
  let lab: Lab
  let flannel: Flannel

  /** What flannel reads of a record of ours: nothing but its own fields. */
  const peerOf = async (host: Host): Promise<readonly FlannelLeg[]> => {
    const { key = '' } = (await host.status()).lease ?? {}
    const entry = (await lab.etcdEntries()).find((candidate) => candidate.key === `${prefix}/subnets/${key}`)
    const record = JSON.parse(entry?.value ?? '{}') as FlannelRecord
    const [subnet = '', subnet6 = ''] = key.split('&').map((half) => half.replace(/-(\d+)$/, '/$1'))
    return [
      { subnet, publicIp: record.PublicIP, mac: record.BackendData.VtepMAC },
      { subnet: subnet6, publicIp: record.PublicIPv6, mac: record.BackendV6Data.VtepMAC },
    ]
  }

  before(async () => {
    lab = await Lab.create({ hosts: 4, ipv6: true, config: halfConfig })
    // It has come when the network had IPv4 alone, and hasn't been restarted since.
    await (await lab.host(3).startAgent()).waitReady()
    await lab.putConfig(dualConfig)
    flannel = new Flannel(lab, 4)
    await flannel.start()
    for (const number of [1, 2]) await (await lab.host(number).startAgent()).waitReady()
    for (const number of [1, 2]) await flannel.addPeer(await peerOf(lab.host(number)))
    for (const host of lab.hosts) await host.addContainer('c')
    for (const number of [1, 2, 3])
      await statusBecomes(lab.host(number), 'all peers', ({ peers }) => peers.programmed === 3)
  })
  after(() => lab.destroy())

  const container = (number: number): Container => {
    const [found] = lab.host(number).containers
    if (!found) throw new Error(`no container on h${String(number)}`)
    return found
  }

  it('takes the IPv4 half where a host has no other, in both directions', async () => {
    for (const other of [1, 2, 4].map(container)) {
      if (other === container(4)) continue // of flannel's kernel, which we write, h3 is no part
      expect((await container(3).ping(other.address)).received).to.equal(1)
      expect((await other.ping(container(3).address)).received).to.equal(1)
    }
    expect(container(3).address6).to.equal('')
    expect(await fdbOf(lab.host(1), 'tweed.1')).to.deep.equal(['192.0.2.12', '192.0.2.13', '192.0.2.14'])
    expect(await fdbOf(lab.host(1), device6)).to.deep.equal(['2001:db8::12', '2001:db8::14'])
    expect(await fdbOf(lab.host(3), 'tweed.1')).to.deep.equal(['192.0.2.11', '192.0.2.12', '192.0.2.14'])
  })

  for (const family of families)
    it(`reaches flannel and is reached by it, first packet included (${family})`, async () => {
      for (const ours of [container(1), container(2)]) {
        expect((await ours.ping(container(4)[family])).received).to.equal(1)
        expect((await container(4).ping(ours[family])).received).to.equal(1)
      }
    })

  it('writes what flannel writes, with a field more, under a key that flannel can parse', async () => {
    const { lease, device, device6: second } = await lab.host(1).status()
    const entry = (await lab.etcdEntries()).find(({ key }) => key === `${prefix}/subnets/${lease?.key ?? ''}`)
    const flannels = `{"PublicIP":"192.0.2.11","PublicIPv6":"2001:db8::11","BackendType":"vxlan","BackendData":{"VNI":1,"VtepMAC":"${device?.mac ?? ''}"},"BackendV6Data":{"VNI":1,"VtepMAC":"${second?.mac ?? ''}"}`
    expect(entry?.value.startsWith(flannels), entry?.value).to.equal(true)
    expect(lease?.key).to.match(/^(\d+\.\d+.\d+.\d+)-(\d+)(?:&([a-f\d:]+)-(\d+))$/)
  })

  it('writes subnet.env as flannel does, byte for byte', async () => {
    const [v4 = '', v6 = ''] = ((await lab.host(1).status()).lease?.subnet ?? '').split(',')
    const first = (subnet: string) => subnet.replace(/0\/24$/, '1/24').replace('::/64', '::1/64')
    expect(await readFile(lab.host(1).paths.subnetFile, 'utf8')).to.equal(
      `FLANNEL_NETWORK=10.5.0.0/16\nFLANNEL_SUBNET=${first(v4)}\nFLANNEL_IPV6_NETWORK=fc00::/48\n` +
        `FLANNEL_IPV6_SUBNET=${first(v6)}\nFLANNEL_MTU=1430\nFLANNEL_IPMASQ=false\n`,
    )
  })

  it('shows both families to people', async () => {
    const host = lab.host(1)
    const shown = async (command: string) => {
      const said = await host.tweed(command, '--run-dir', host.paths.runDir)
      expect(said.code, told(said)).to.equal(0)
      expect(said.stdout).to.not.match(/undefined|null|NaN/)
      return said.stdout
    }
    const status = await shown('status')
    const peers = await shown('peers')
    expect(status).to.match(/^underlay +eth0 192\.0\.2\.11,2001:db8::11 mtu 1500$/m)
    expect(status).to.match(/^device +tweed\.1 [0-9a-f:]{17} mtu 1450 vni 1 port 8472$/m)
    expect(status).to.match(/^device +tweed-v6\.1 [0-9a-f:]{17} mtu 1430 vni 1 port 8472$/m)
    expect(status).to.match(/^lease +10\.5\.\d+\.0\/24,fc00:0:0:[0-9a-f]+::\/64 \(owned/m)
    const line = peers
      .split('\n')
      .find((line) => line.startsWith(flannel.legs.map(({ subnet }) => subnet).join()))
    expect(line).to.match(
      new RegExp(
        `^\\S+ +192\\.0\\.2\\.14,2001:db8::14 +tunnel +${flannel.legs.map(({ mac }) => mac).join()} +\\S+ +programmed`,
      ),
    )
    expect(peers).to.match(/^10\.5\.\d+\.0\/24 +192\.0\.2\.13 +tunnel /m)
  })

  it('plans nothing where all is in place, and what makes the device of a family with its rows', async () => {
    const host = lab.host(1)
    const planned = async () => {
      const said = await host.tweed('plan', ...etcdFlags(lab), ...fileFlags(host), '--iface', 'eth0')
      expect(said.code, told(said)).to.equal(0)
      return said.stdout
    }
    expect(await planned()).to.equal('# nothing to change\n')
    const lines = await tableLines(host, device6)
    await host.agent?.kill()
    await host.netns.batch([`link del ${device6}`])
    await host.exec('sh', '-ec', await planned())
    expect(await tableLines(host, device6)).to.deep.equal(lines)
    expect((await container(1).ping(container(4).address6)).received).to.equal(1)
    await (await host.startAgent()).waitReady()
    expect(await tableLines(host, device6)).to.deep.equal(lines)
  })

  it('leaves in both families', async () => {
    const host = lab.host(2)
    await host.agent?.kill('SIGTERM')
    const left = await host.tweed('leave', ...etcdFlags(lab), ...fileFlags(host))
    expect(left.code, told(left)).to.equal(0)
    await eventually('h1 has no rows of it', async () =>
      [...(await fdbOf(lab.host(1), 'tweed.1')), ...(await fdbOf(lab.host(1), device6))].some((ip) =>
        /12$/.test(ip),
      )
        ? undefined
        : true,
    )
    expect(await fdbOf(lab.host(1), device6)).to.deep.equal(['2001:db8::14'])
    expect((await lab.etcdEntries()).filter(({ key }) => key.includes('/subnets/'))).to.have.length(3)
  })
})

interface FlannelRecord {
  readonly PublicIP: string
  readonly PublicIPv6: string
  readonly BackendData: { readonly VtepMAC: string }
  readonly BackendV6Data: { readonly VtepMAC: string }
}
