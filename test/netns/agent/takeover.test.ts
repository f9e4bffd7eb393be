import { readFile } from 'node:fs/promises'
import { expect } from 'chai'
import type { Container } from '../../support/container.ts'
import { dualStack, ipv4Only } from '../../support/families.ts'
import { Flannel } from '../../support/flannel.ts'
import type { Host } from '../../support/host.ts'
import { defaultConfig, Lab, prefix } from '../../support/lab.ts'
import { twoContainers } from '../../support/overlay.ts'
import { eventually } from '../../support/process.ts'
import { lostDuring } from '../../support/traffic.ts'

interface Link {
  readonly ifname: string
  readonly ifindex: number
  readonly address: string
  readonly mtu: number
  readonly linkinfo?: {
    readonly info_data?: {
      readonly id: number
      readonly port: number
      readonly local?: string
      readonly local6?: string
    }
  }
}

// Records of a network of IPv6 alone are none that flannel reads.
for (const { name, ipv6, families } of [ipv4Only, dualStack])
  for (const resolve of ['eager', 'on-miss'] as const)
    describe(`agent in the place of flannel, and flannel in its place again, ${name} (${resolve})`, () => {
      let lab: Lab
      let host: Host
      let flannel: Flannel
      let other: Flannel
      let a: Container
      let b: Container

      before(async () => {
        const config = { ...defaultConfig, ...(ipv6 && { EnableIPv6: true, IPv6Network: 'fc00::/48' }) }
        const agentFlags = ['--resolve', resolve, '--device', 'flannel.1']
        lab = await Lab.create({ hosts: 2, ipv6, config, agentFlags })
        host = lab.host(1)
        flannel = new Flannel(lab, 1)
        other = new Flannel(lab, 2)
        for (const each of [flannel, other]) await each.start()
        await flannel.addPeer(other.legs)
        await other.addPeer(flannel.legs)
        ;[a, b] = await twoContainers(lab)
      })
      after(() => lab.destroy())

      /** Its devices as they are, in the order of its legs. */
      const links = async () => {
        const all = JSON.parse(await host.exec('ip', '-j', '-d', 'link')) as readonly Link[]
        return flannel.devices.map((device) => {
          const { ifindex, address, mtu, linkinfo } = all.find(({ ifname }) => ifname === device) ?? {}
          const { id, port, local, local6 } = linkinfo?.info_data ?? {}
          return { device, ifindex, address, mtu, id, port, local: local ?? local6 }
        })
      }
      const expected = () =>
        flannel.legs.map(({ mac, publicIp }) => ({ address: mac, id: 1, port: 8472, local: publicIp }))

      it('takes devices, MACs, lease, routes and subnet.env as they stand: 0 lost', async () => {
        const before = await links()
        const lost = await lostDuring(a, b, async () => {
          await (await host.startAgent()).waitReady()
          const networks = ['10.5.0.0/16', 'fc00::/48']
          for (const [i, { option }] of families.entries()) {
            const ours = resolve === 'eager' ? other.legs[i]?.subnet : networks[i]
            await eventually(
              'our routes',
              async () =>
                (await host.exec('ip', option, 'route', 'show', 'proto', '84')).includes(ours ?? '?') ||
                undefined,
            )
          }
        })
        expect(lost).to.equal(0)
        const after = await links()
        // The MTU of the network is that of its last family; the device of the other one may have a longer one.
        expect(after.at(-1)?.mtu).to.equal(flannel.mtuBytes)
        for (const [i, wanted] of expected().entries())
          expect(after[i]).to.include({ ...wanted, ifindex: before[i]?.ifindex })
        const { lease, device, device6 } = await host.status()
        expect(lease).to.include({ state: 'owned', key: flannel.key })
        expect(lease?.subnet).to.equal(flannel.legs.map(({ subnet }) => subnet).join())
        const macs = [device, device6].flatMap((each) => (each ? [each.mac] : []))
        expect(macs).to.deep.equal(flannel.legs.map(({ mac }) => mac))
        expect(await readFile(host.paths.subnetFile, 'utf8')).to.equal(flannel.subnetEnv)
        const kept = (await lab.etcdEntries()).find(({ key }) => key === `${prefix}/subnets/${flannel.key}`)
        expect(kept?.isLeased).to.equal(true)
        expect(kept?.value.startsWith(flannel.record.slice(0, -1)), kept?.value).to.equal(true)
      })

      it('leaves them so that flannel can take them again: 0 lost', async () => {
        const before = await links()
        const lost = await lostDuring(a, b, async () => {
          await host.agent?.kill('SIGTERM')
          // flanneld compares the devices with what it would make, and finds its lease by PublicIP.
          expect(await links()).to.deep.equal(before)
          await flannel.startAgain(other.legs)
        })
        expect(lost).to.equal(0)
        for (const { family, subnet } of other.legs) {
          const route = await host.exec('ip', family.option, 'route', 'show', subnet)
          expect(route.trim().split('\n')).to.have.length(1)
          expect(route).to.not.contain('proto 84')
        }
      })

      it('and takes them back once more: 0 lost', async () => {
        const lost = await lostDuring(a, b, async () => {
          await (await host.startAgent()).waitReady()
        })
        expect(lost).to.equal(0)
        expect((await host.status()).lease).to.include({ key: flannel.key })
      })
    })
