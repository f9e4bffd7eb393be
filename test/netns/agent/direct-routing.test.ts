import { expect } from 'chai'
import type { Container } from '../../support/container.ts'
import { type Family, ipv4, ipv6, overlays } from '../../support/families.ts'
import type { Host } from '../../support/host.ts'
import { Lab } from '../../support/lab.ts'
import { statusBecomes, twoContainers } from '../../support/overlay.ts'
import { eventually } from '../../support/process.ts'
import { lostDuring } from '../../support/traffic.ts'

/** How a host reaches its only peer: one word, or one for each family. */
const pathIs = (host: Host, path: string) =>
  eventually(`${host.name}: path ${path}`, async () => {
    const [peer] = await host.peers()
    return peer?.path === path && peer.state === 'programmed' ? peer : undefined
  })
const routesOf = async (host: Host, { option }: Family): Promise<readonly string[]> => {
  const listing = await host.exec('ip', option, 'route', 'show', 'proto', '84')
  return listing.split('\n').filter((line) => line !== '')
}
const viaGateway = (line: string) => line.includes(' via ')

for (const overlay of overlays)
  for (const resolve of ['eager', 'on-miss'] as const)
    describe(`agent: DirectRouting, ${overlay.name} (${resolve})`, () => {
      let lab: Lab
      let h1: Host
      let a: Container
      let b: Container
      const { families } = overlay
      const config = (DirectRouting: boolean) => ({ ...overlay.config, Backend: { Type: 'vxlan', DirectRouting } }) // prettier-ignore

      before(async () => {
        lab = await Lab.create({
          hosts: 2,
          ipv6: overlay.ipv6,
          config: config(true),
          agentFlags: ['--resolve', resolve],
        })
        h1 = lab.host(1)
        for (const [key, value] of [
          ['net.ipv4.ip_forward', '1'],
          ['net.ipv4.conf.all.send_redirects', '0'],
          ['net.ipv6.conf.all.forwarding', '1'],
        ] as const)
          await lab.underlay.sysctl(key, value)
        await lab.startAgents()
        ;[a, b] = await twoContainers(lab)
      })
      after(() => lab.destroy())

      it('reaches a host on the link of the underlay by a plain route, and needs no tunnel rows', async () => {
        for (const host of lab.hosts) await pathIs(host, 'direct')
        for (const family of families) {
          expect((await a.ping(family.addressOf(b), { count: 20 })).received).to.equal(20)
          const ofPeer = ` via ${family.underlay(12)} dev eth0 `
          const plain = (await routesOf(h1, family)).filter((line) => line.includes(ofPeer))
          expect(plain).to.have.length(1)
        }
        const { tables } = await h1.status()
        expect([tables.fdb.actual, tables.neighbours.actual]).to.deep.equal([0, 0])
      })

      for (const family of families)
        it(`takes the tunnel while there is a router between in ${family.name}, and only there: 0 lost`, async () => {
          const peer = `${family.underlay(12)}/${String(family.addressBits)}`
          const paths = families.map((each) => (each === family ? 'tunnel' : 'direct'))
          const lost = await lostDuring(a, b, async () => {
            await h1.netns.ip('route', 'add', peer, 'via', family.underlay(1))
            await pathIs(h1, paths.join())
            expect((await h1.tables(family.device)).fdb).to.have.length(1)
            await h1.netns.ip('route', 'del', peer)
            await pathIs(h1, 'direct')
          })
          expect(lost).to.equal(0)
          expect((await h1.status()).tables.fdb.actual).to.equal(0)
        })

      it('is switched off and on by the configuration under traffic: 0 lost, one route each time', async () => {
        const lost = await lostDuring(a, b, async () => {
          for (const direct of [false, true, false, true]) {
            await lab.putConfig(config(direct))
            for (const host of lab.hosts) {
              await pathIs(host, direct ? 'direct' : 'tunnel')
              for (const family of families) {
                const routes = await routesOf(host, family)
                // On a miss the overlay as a whole has a route too.
                const ofPeer = resolve === 'eager' ? routes : routes.filter(viaGateway)
                expect(ofPeer).to.have.length(1)
                expect(ofPeer[0]).to.contain(` dev ${direct ? 'eth0' : family.device} `)
              }
            }
          }
        })
        expect(lost).to.equal(0)
      })

      for (const family of families)
        it(`repairs a plain route of ${family.name} that somebody deletes`, async () => {
          const [route = ''] = (await routesOf(h1, family)).filter(viaGateway)
          expect(route).to.contain(` via ${family.underlay(12)} `)
          await h1.netns.ip(family.option, 'route', 'del', route.split(' ')[0] ?? '')
          await eventually(
            'it is back',
            async () => (await routesOf(h1, family)).includes(route) || undefined,
          )
        })
    })

for (const overlay of overlays)
  describe(`agent: host-gw, ${overlay.name}`, () => {
    let lab: Lab
    let host: Host
    let a: Container
    let b: Container
    const { families } = overlay

    before(async () => {
      const config = { ...overlay.config, Backend: { Type: 'host-gw' } }
      lab = await Lab.create({ hosts: 3, ipv6: overlay.ipv6, config })
      host = lab.host(1)
      await lab.startAgents()
      for (const each of lab.hosts)
        await statusBecomes(each, 'ways to both', ({ peers }) => peers.programmed === 2)
      ;[a, b] = await twoContainers(lab)
    })
    after(() => lab.destroy())

    it('makes a plain route to each host and family and no device, and containers get the whole MTU', async () => {
      for (const family of families)
        expect((await a.ping(family.addressOf(b), { count: 20 })).received).to.equal(20)
      const { device, device6, tables } = await host.status()
      expect([device, device6]).to.deep.equal([null, null])
      const counts = [tables.fdb.actual, tables.neighbours.actual, tables.routes.actual]
      expect(counts).to.deep.equal([0, 0, 2 * families.length])
      expect((await host.subnetEnv()).mtuBytes).to.equal(1500)
    })

    it('writes what flannel’s host-gw writes', async () => {
      const key = (await host.status()).lease?.key ?? ''
      const entry = (await lab.etcdEntries()).find((each) => each.key.endsWith(`subnets/${key}`))
      const record = JSON.parse(entry?.value ?? '{}') as object
      expect(record).to.include({
        BackendType: 'host-gw',
        PublicIP: families.includes(ipv4) ? ipv4.underlay(11) : null,
        PublicIPv6: families.includes(ipv6) ? ipv6.underlay(11) : null,
      })
      expect(record).to.not.have.any.keys('BackendData', 'BackendV6Data')
    })

    it('goes on without its agent, and finds all as it left it: 0 lost, the same revision', async () => {
      const revision = await lab.etcdRevision()
      const lost = await lostDuring(a, b, async () => {
        await host.agent?.kill('SIGKILL')
        const agent = await host.startAgent()
        await agent.waitReady()
      })
      expect(lost).to.equal(0)
      expect(await lab.etcdRevision()).to.equal(revision)
    })

    // Linux takes the IPv6 addresses off a link that goes down.
    if (!families.includes(ipv6))
      it('has its routes back when the link was down', async () => {
        await host.netns.ip('link', 'set', 'eth0', 'down')
        await host.netns.ip('link', 'set', 'eth0', 'up')
        await eventually(
          'the routes are back',
          async () => (await routesOf(host, ipv4)).length === 2 || undefined,
        )
        await eventually('answers', async () => (await a.ping(b.address, { count: 1 })).received || undefined)
      })

    for (const family of families) {
      it(`says of a host behind a router that there is no way in ${family.name}`, async () => {
        const peer = `${family.underlay(12)}/${String(family.addressBits)}`
        await host.netns.ip('route', 'add', peer, 'via', family.underlay(1))
        const { health } = await statusBecomes(host, 'no way', ({ health: { reasons } }) =>
          reasons.some(({ code }) => code === 'peers-unreachable'),
        )
        expect(health.state).to.equal('degraded')
        await host.netns.ip('route', 'del', peer)
        await statusBecomes(host, 'a way again', ({ health: { state } }) => state === 'ready')
      })

      it(`follows a peer to another ${family.name} address`, async () => {
        const { netns } = lab.host(2)
        await netns.sysctl('net.ipv4.conf.eth0.promote_secondaries', '1')
        const length = family === ipv4 ? '24' : '64 nodad'
        await netns.batch([`addr add ${family.underlay(52)}/${length} dev eth0`])
        await netns.ip('addr', 'del', `${family.underlay(12)}/${length.slice(0, 2)}`, 'dev', 'eth0')
        const via = async () => (await routesOf(host, family)).map((line) => / via (\S+) /.exec(line)?.[1])
        await eventually(
          'the route to it',
          async () => (await via()).includes(family.underlay(52)) || undefined,
        )
        expect(await via()).to.have.members([family.underlay(52), family.underlay(13)])
        expect((await a.ping(family.addressOf(b))).received).to.equal(1)
      })
    }

    it('leaves no route behind', async () => {
      await host.agent?.kill('SIGTERM')
      expect((await host.tweed('cleanup')).code).to.equal(0)
      for (const family of families) expect(await routesOf(host, family)).to.deep.equal([])
    })
  })
