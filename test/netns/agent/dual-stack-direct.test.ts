import { expect } from 'chai'
import type { Container } from '../../support/container.ts'
import type { Host } from '../../support/host.ts'
import { Lab, prefix } from '../../support/lab.ts'
import { dualConfig, ipv6Config, twoContainers } from '../../support/overlay.ts'
import { eventually } from '../../support/process.ts'
import { lostDuring } from '../../support/traffic.ts'

const vxlan = (DirectRouting: boolean) => ({ ...dualConfig, Backend: { Type: 'vxlan', DirectRouting } })

/** How a host reaches its only peer: one word, or one for each family. */
const pathIs = (host: Host, path: string) =>
  eventually(`${host.name}: path ${path}`, async () => {
    const [peer] = await host.peers()
    return peer?.path === path && peer.state === 'programmed' ? peer : undefined
  })
const routesOf = async (host: Host): Promise<readonly string[]> =>
  (await host.exec('ip', '-6', 'route', 'show', 'proto', '84')).trim().split('\n')

/** Makes the router of the underlay one for IPv6 too. */
const routeUnderlay = async ({ underlay }: Lab) => {
  for (const [key, value] of [
    ['net.ipv4.ip_forward', '1'],
    ['net.ipv4.conf.all.send_redirects', '0'],
    ['net.ipv6.conf.all.forwarding', '1'],
  ] as const)
    await underlay.sysctl(key, value)
}

for (const resolve of ['eager', 'on-miss'] as const)
  describe(`agent: DirectRouting in dual stack (${resolve})`, () => {
    let lab: Lab
    let h1: Host
    let a: Container
    let b: Container

    before(async () => {
      lab = await Lab.create({
        hosts: 2,
        ipv6: true,
        config: vxlan(true),
        agentFlags: ['--resolve', resolve],
      })
      h1 = lab.host(1)
      await routeUnderlay(lab)
      await lab.startAgents()
      ;[a, b] = await twoContainers(lab)
    })
    after(() => lab.destroy())

    it('reaches a host on the link by its IPv6 address, and needs no tunnel rows', async () => {
      for (const host of lab.hosts) await pathIs(host, 'direct')
      for (const to of [b.address, b.address6])
        expect((await a.ping(to, { count: 20 })).received).to.equal(20)
      const { tables } = await h1.status()
      expect([tables.fdb.actual, tables.neighbours.actual]).to.deep.equal([0, 0])
      const plain = (await routesOf(h1)).filter((line) => line.includes('via 2001:db8::12 dev eth0'))
      expect(plain).to.have.length(1)
    })

    it('takes the tunnel in the family that has a router between, and only there: 0 lost', async () => {
      const lost = await lostDuring(a, b, async () => {
        await h1.netns.ip('route', 'add', '2001:db8::12/128', 'via', '2001:db8::1')
        await pathIs(h1, 'direct,tunnel')
        expect((await h1.tables('tweed-v6.1')).fdb).to.have.length(1)
        await h1.netns.ip('route', 'del', '2001:db8::12/128')
        await pathIs(h1, 'direct')
      })
      expect(lost).to.equal(0)
      expect((await h1.status()).tables.fdb.actual).to.equal(0)
    })

    it('is switched off and on by the configuration under traffic: 0 lost, one route each time', async () => {
      const lost = await lostDuring(a, b, async () => {
        for (const direct of [false, true]) {
          await lab.etcd.put(`${prefix}/config`, JSON.stringify(vxlan(direct)))
          for (const host of lab.hosts) await pathIs(host, direct ? 'direct' : 'tunnel')
        }
      })
      expect(lost).to.equal(0)
      expect((await routesOf(h1)).filter((line) => line.includes('via'))).to.have.length(1)
    })

    it('repairs a plain route that somebody deletes', async () => {
      const [route = ''] = (await routesOf(h1)).filter((line) => line.includes('via 2001:db8::12'))
      await h1.netns.ip('-6', 'route', 'del', route.split(' ')[0] ?? '')
      await eventually('the route is back', async () => (await routesOf(h1)).includes(route) || undefined)
    })
  })

for (const [name, config] of [
  ['in dual stack', { ...dualConfig, Backend: { Type: 'host-gw' } }],
  ['of IPv6 alone', { ...ipv6Config, Backend: { Type: 'host-gw' } }],
] as const)
  describe(`agent: host-gw ${name}`, () => {
    let lab: Lab
    let host: Host
    let a: Container
    let b: Container
    const families = name === 'in dual stack' ? 2 : 1

    before(async () => {
      lab = await Lab.create({ hosts: 2, ipv6: families === 2 ? true : 'only', config })
      host = lab.host(1)
      await lab.startAgents()
      ;[a, b] = await twoContainers(lab)
    })
    after(() => lab.destroy())

    it('makes a plain route to each host and family and no device, and containers get the whole MTU', async () => {
      expect((await a.ping(b.address6, { count: 20 })).received).to.equal(20)
      const { device, device6, tables } = await host.status()
      expect([device, device6]).to.deep.equal([null, null])
      const counts = [tables.fdb.actual, tables.neighbours.actual, tables.routes.actual]
      expect(counts).to.deep.equal([0, 0, families])
      expect((await host.subnetEnv()).mtuBytes).to.equal(1500)
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

    it('follows a peer to another IPv6 address', async () => {
      const peer = lab.host(2)
      await peer.netns.batch(['addr add 2001:db8::52/64 dev eth0 nodad', 'addr del 2001:db8::12/64 dev eth0'])
      await eventually('the route to it', async () =>
        (await routesOf(host)).some((line) => line.includes('via 2001:db8::52 ')) ? true : undefined,
      )
      expect((await routesOf(host)).filter((line) => line.includes(' via '))).to.have.length(1)
      expect((await a.ping(b.address6)).received).to.equal(1)
    })

    it('leaves no route behind', async () => {
      await host.agent?.kill('SIGTERM')
      expect((await host.tweed('cleanup')).code).to.equal(0)
      expect((await routesOf(host)).join('')).to.equal('')
    })
  })
