import { readFile } from 'node:fs/promises'
import { expect } from 'chai'
import type { Container } from '../../support/container.ts'
import { DualFlannel } from '../../support/flannel.ts'
import { Lab, prefix } from '../../support/lab.ts'
import { eventually } from '../../support/process.ts'
import { lostDuring } from '../../support/traffic.ts'

const config = {
  Network: '10.5.0.0/16',
  EnableIPv6: true,
  IPv6Network: 'fc00::/48',
  Backend: { Type: 'vxlan' },
}
const devices = ['flannel.1', 'flannel-v6.1'] as const

for (const resolve of ['eager', 'on-miss'] as const)
  describe(`agent in the place of a dual-stack flannel (${resolve})`, () => {
    let lab: Lab
    let flannels: readonly [DualFlannel, DualFlannel]
    let a: Container
    let b: Container

    before(async () => {
      const agentFlags = ['--resolve', resolve, '--device', 'flannel.1']
      lab = await Lab.create({ hosts: 2, ipv6: true, config, agentFlags })
      flannels = [new DualFlannel(lab, 1), new DualFlannel(lab, 2)]
      for (const flannel of flannels) await flannel.start()
      for (const [one, other] of [flannels, [...flannels].reverse()] as [DualFlannel, DualFlannel][])
        await one.addPeer(other.peer)
      a = await lab.host(1).addContainer('a')
      b = await lab.host(2).addContainer('b')
    })
    after(() => lab.destroy())

    const linksOf = async () => {
      const all = JSON.parse(await lab.host(1).exec('ip', '-j', 'link')) as {
        readonly ifname: string
        readonly ifindex: number
        readonly address: string
        readonly mtu: number
      }[]
      return devices.map((name) => {
        const { ifindex, address, mtu } = all.find(({ ifname }) => ifname === name) ?? {}
        return { name, ifindex, address, mtu }
      })
    }
    const routes = () => lab.host(1).exec('ip', '-6', 'route', 'show', 'proto', '84')

    it('takes both devices, MACs, lease, routes and subnet.env as they stand: 0 lost', async () => {
      const [host, before] = [lab.host(1), await linksOf()]
      const lost = await lostDuring(a, b, async () => {
        await (await host.startAgent()).waitReady()
        const ours = resolve === 'eager' ? flannels[1].peer.subnet6 : 'fc00::/48'
        await eventually('our routes', async () => (await routes()).includes(ours) || undefined)
      })
      expect(lost).to.equal(0)
      const mtus = (await linksOf()).map(({ mtu }) => mtu)
      expect((await linksOf()).map((link) => ({ ...link, mtu: 0 }))).to.deep.equal(
        before.map((link) => ({ ...link, mtu: 0 })),
      )
      expect(mtus[1]).to.equal(1430)
      const { lease, device, device6 } = await host.status()
      expect(lease).to.include({ state: 'owned', key: flannels[0].key })
      expect([device?.mac, device6?.mac]).to.deep.equal(flannels[0].macs)
      expect(await readFile(host.paths.subnetFile, 'utf8')).to.equal(flannels[0].subnetEnv)
      const kept = (await lab.etcdEntries()).find(({ key }) => key === `${prefix}/subnets/${flannels[0].key}`)
      expect(kept?.isLeased).to.equal(true)
      expect(kept?.value.startsWith(flannels[0].record.slice(0, -1)), kept?.value).to.equal(true)
    })

    it('leaves them so that flannel can take them again: 0 lost', async () => {
      const before = await linksOf()
      const lost = await lostDuring(a, b, async () => {
        await lab.host(1).agent?.kill('SIGTERM')
        expect(await linksOf()).to.deep.equal(before)
        await flannels[0].addPeer(flannels[1].peer) // what flanneld does at its start
      })
      expect(lost).to.equal(0)
      const route = await lab.host(1).exec('ip', '-6', 'route', 'show', flannels[1].peer.subnet6)
      expect(route.trim().split('\n')).to.have.length(1)
      expect(route).to.not.contain('proto 84')
    })

    it('and takes them back once more: 0 lost', async () => {
      const lost = await lostDuring(a, b, async () => {
        await (await lab.host(1).startAgent()).waitReady()
      })
      expect(lost).to.equal(0)
      expect((await lab.host(1).status()).lease?.key).to.equal(flannels[0].key)
    })
  })
