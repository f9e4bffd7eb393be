import { expect } from 'chai'
import type { Container } from '../../support/container.ts'
import type { Host } from '../../support/host.ts'
import { Lab } from '../../support/lab.ts'
import type { Netns } from '../../support/netns.ts'
import { internetAddress, internetAddress6, addInternet, nft, SourceWatch } from '../../support/nft.ts'
import { dualConfig, etcdFlags, fileFlags, ipv6Config, told, twoContainers } from '../../support/overlay.ts'
import { ping } from '../../support/ping.ts'
import { eventually } from '../../support/process.ts'

for (const [name, ipv6, config] of [
  ['in dual stack', true, dualConfig],
  ['in an overlay of IPv6 alone', 'only', ipv6Config],
] as const)
  describe(`agent --ip-masq ${name}`, () => {
    let lab: Lab
    let internet: Netns
    let atInternet: SourceWatch
    let atB: SourceWatch
    let a: Container
    let b: Container
    let host: Host
    const flags = ['--ip-masq', 'true']

    before(async () => {
      lab = await Lab.create({ hosts: 2, ipv6, config })
      host = lab.host(1)
      await lab.startAgents(flags)
      ;[a, b] = await twoContainers(lab)
      internet = await addInternet(lab)
      atInternet = await SourceWatch.start(internet)
      atB = await SourceWatch.start(b.netns)
    })
    after(async () => {
      await lab.destroy()
      await (internet as Netns | undefined)?.remove()
    })

    const table = () => host.exec('nft', 'list', 'table', 'inet', 'tweed').catch(() => '')
    /** The first address of a container's subnet, which is that of the device. */
    const first = (container: Container) => container.address6.replace(/::.*/, '::')

    it('lets a container reach the world with the IPv6 address of its host', async () => {
      expect((await a.ping(internetAddress6)).received).to.equal(1)
      expect(await atInternet.seen()).to.deep.equal(['2001:db8::11'])
    })

    it('keeps sources inside the overlay, also that of a host', async () => {
      expect((await a.ping(b.address6)).received).to.equal(1)
      expect(await atB.seen()).to.deep.equal([a.address6])
      expect((await ping(host.netns, b.address6)).received).to.equal(1)
      expect(await atB.seen()).to.deep.equal([first(a)])
    })

    it('shows a container who comes from outside to its own host', async () => {
      await internet.batch([`route add ${first(b)}/64 via 2001:db8:1::1`])
      await lab.underlay.batch([`route add ${first(b)}/64 via 2001:db8::12`])
      expect((await ping(internet, b.address6)).received).to.equal(1)
      expect(await atB.seen()).to.deep.equal([internetAddress6])
    })

    it('masks who comes from outside by another host, so that the answer goes back there', async () => {
      await lab.underlay.batch([`route replace ${first(b)}/64 via 2001:db8::11`])
      expect((await ping(internet, b.address6)).received).to.equal(1)
      expect(await atB.seen()).to.deep.equal([first(a)])
    })

    it('repairs a flush of everything under a ping', async () => {
      const before = await table()
      const stream = await a.pingStream(internetAddress6)
      await nft(host.netns, 'flush ruleset')
      await eventually('the table', async () => ((await table()) === before ? true : undefined))
      await stream.nextAnswer()
      await stream.stop()
      await atInternet.seen()
      expect((await a.ping(internetAddress6)).received).to.equal(1)
      expect(await atInternet.seen()).to.deep.equal(['2001:db8::11'])
    })

    it('loses nothing at a restart', async () => {
      const before = await table()
      const streams = [await a.pingStream(internetAddress6), await b.pingStream(a.address6)]
      await host.agent?.kill()
      await (await host.startAgent(flags)).waitReady()
      for (const stream of streams) {
        await stream.nextAnswer()
        expect((await stream.stop()).lost).to.equal(0)
      }
      expect(await table()).to.equal(before)
    })

    if (ipv6 === true)
      it('does the same for IPv4 beside it', async () => {
        await atInternet.seen()
        expect((await a.ping(internetAddress)).received).to.equal(1)
        expect(await atInternet.seen()).to.deep.equal(['192.0.2.11'])
      })

    it('plans nothing where all is in place', async () => {
      const planned = await host.tweed('plan', ...etcdFlags(lab), ...fileFlags(host), '--iface', 'eth0', '--ip-masq') // prettier-ignore
      expect(planned.stdout, told(planned)).to.equal('# nothing to change\n')
    })
  })
