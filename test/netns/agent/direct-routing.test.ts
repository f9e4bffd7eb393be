import { expect } from 'chai'
import type { Container } from '../../support/container.ts'
import type { Host } from '../../support/host.ts'
import { Lab, prefix } from '../../support/lab.ts'
import { statusBecomes, twoContainers } from '../../support/overlay.ts'
import { eventually } from '../../support/process.ts'

const network = { Network: '10.5.0.0/16' }
const vxlan = (DirectRouting: boolean) => ({ ...network, Backend: { Type: 'vxlan', DirectRouting } })

/** How a host reaches its only peer. */
const pathIs = (host: Host, path: string) =>
  eventually(`${host.name}: path ${path}`, async () => {
    const [peer] = await host.peers()
    return peer?.path === path && peer.state === 'programmed' ? peer : undefined
  })
const routesOf = async (host: Host): Promise<readonly string[]> =>
  (await host.exec('ip', 'route', 'show', 'proto', '84')).trim().split('\n')

/** Packets of a ping in both directions that were lost while something happened. */
const lostDuring = async (a: Container, b: Container, happens: () => Promise<unknown>): Promise<number> => {
  const streams = [await a.pingStream(b.address), await b.pingStream(a.address)]
  await happens()
  for (const stream of streams) for (let n = 0; n < 20; n++) await stream.nextAnswer()
  const results = await Promise.all(streams.map((stream) => stream.stop()))
  return results.reduce((lost, result) => lost + result.lost, 0)
}

for (const resolve of ['eager', 'on-miss'] as const)
  describe(`agent: DirectRouting (${resolve})`, () => {
    let lab: Lab
    let h1: Host
    let h2: Host
    let a: Container
    let b: Container

    before(async () => {
      lab = await Lab.create({ hosts: 2, config: vxlan(true), agentFlags: ['--resolve', resolve] })
      ;[h1, h2] = [lab.host(1), lab.host(2)]
      await lab.underlay.exec('sysctl', '-qw', 'net.ipv4.ip_forward=1', 'net.ipv4.conf.all.send_redirects=0')
      await lab.startAgents()
      ;[a, b] = await twoContainers(lab)
    })
    after(() => lab.destroy())

    it('reaches a host on the link of the underlay by a plain route, and needs no tunnel rows', async () => {
      await pathIs(h1, 'direct')
      await pathIs(h2, 'direct')
      expect((await a.ping(b.address, { count: 20 })).received).to.equal(20)
      const { tables } = await h1.status()
      expect([tables.fdb.actual, tables.neighbours.actual]).to.deep.equal([0, 0])
      const plain = (await routesOf(h1)).filter((line) => line.includes('via 192.0.2.12 dev eth0'))
      expect(plain).to.have.length(1)
    })

    it('takes the tunnel once there is a router between, and the plain route when it is gone: 0 lost', async () => {
      const lost = await lostDuring(a, b, async () => {
        await h1.netns.ip('route', 'add', '192.0.2.12/32', 'via', '192.0.2.1')
        await pathIs(h1, 'tunnel')
        await h1.netns.ip('route', 'del', '192.0.2.12/32')
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
      const peers = (await routesOf(h1)).filter((line) => line.includes('via'))
      expect(peers).to.have.length(1)
    })

    it('repairs a plain route that somebody deletes', async () => {
      const [route = ''] = (await routesOf(h1)).filter((line) => line.includes('via 192.0.2.12'))
      await h1.netns.ip('route', 'del', route.split(' ')[0] ?? '')
      await eventually('the route is back', async () => (await routesOf(h1)).includes(route) || undefined)
    })
  })

describe('agent: host-gw', () => {
  let lab: Lab
  let host: Host
  let a: Container
  let b: Container

  before(async () => {
    lab = await Lab.create({ hosts: 3, config: { ...network, Backend: { Type: 'host-gw' } } })
    host = lab.host(1)
    await lab.startAgents()
    ;[a, b] = await twoContainers(lab)
  })
  after(() => lab.destroy())

  it('makes a plain route to each host and no device, and containers get the whole MTU', async () => {
    expect((await a.ping(b.address, { count: 20 })).received).to.equal(20)
    const { device, tables } = await host.status()
    expect(device).to.equal(null)
    expect([tables.fdb.actual, tables.neighbours.actual, tables.routes.actual]).to.deep.equal([0, 0, 2])
    expect((await host.subnetEnv()).mtuBytes).to.equal(1500)
  })

  it('writes what flannel’s host-gw writes', async () => {
    const entry = (await lab.etcdEntries()).find(({ key }) => key.includes('/subnets/'))
    expect(JSON.parse(entry?.value ?? '{}')).to.include({ BackendType: 'host-gw', PublicIPv6: null })
    expect(JSON.parse(entry?.value ?? '{}')).to.not.have.property('BackendData')
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

  it('has its routes back when the link was down', async () => {
    await host.netns.ip('link', 'set', 'eth0', 'down')
    await host.netns.ip('link', 'set', 'eth0', 'up')
    await eventually('the routes are back', async () => (await routesOf(host)).length === 2 || undefined)
    await eventually('answers', async () => (await a.ping(b.address, { count: 1 })).received || undefined)
  })

  it('says of a host behind a router that there is no way', async () => {
    await host.netns.ip('route', 'add', '192.0.2.12/32', 'via', '192.0.2.1')
    const { health } = await statusBecomes(host, 'no way', ({ health: { reasons } }) =>
      reasons.some(({ code }) => code === 'peers-unreachable'),
    )
    expect(health.state).to.equal('degraded')
    await host.netns.ip('route', 'del', '192.0.2.12/32')
    await statusBecomes(host, 'a way again', ({ health: { state } }) => state === 'ready')
  })

  it('leaves no route behind', async () => {
    await host.agent?.kill('SIGTERM')
    expect((await host.tweed('cleanup')).code).to.equal(0)
    expect((await routesOf(host)).join('')).to.equal('')
  })
})

describe('DirectRouting switched while running, in both families', () => {
  const network = { Network: '10.5.0.0/16', EnableIPv6: true, IPv6Network: 'fc00::/48' }
  const config = (directRouting: boolean) => ({ ...network, Backend: { Type: 'vxlan', DirectRouting: directRouting } }) // prettier-ignore
  let lab: Lab
  before(async () => {
    lab = await Lab.create({ hosts: 2, ipv6: true, config: config(true) })
    await lab.startAgents()
  })
  after(() => lab.destroy())

  it('puts each route in the place of the other, and loses no packet', async () => {
    const [a, b] = await twoContainers(lab)
    const streams = [await a.pingStream(b.address, 10), await a.pingStream(b.address6, 10)]
    for (const [directRouting, device] of [
      [false, 'tweed'],
      [true, 'eth0'],
      [false, 'tweed'],
    ] as const) {
      // prettier-ignore
      await lab.putConfig(config(directRouting))
      await Promise.all(
        lab.hosts.map((host) =>
          eventually(`${host.name} goes by ${device}`, async () => {
            const [four, six] = [await host.netns.ip('route', 'show', 'proto', '84'), await host.netns.ip('-6', 'route', 'show', 'proto', '84')] // prettier-ignore
            const one = (listing: string) => listing.trim().split('\n').length === 1 && listing.includes(` dev ${device}`) // prettier-ignore
            return one(four) && one(six) ? true : undefined
          }),
        ),
      )
      for (const stream of streams) await stream.nextAnswer()
    }
    for (const stream of streams) expect((await stream.stop()).lost).to.equal(0)
  })
})
