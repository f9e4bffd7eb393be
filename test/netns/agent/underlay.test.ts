import { expect } from 'chai'
import type { AgentStatus } from '../../../src/core/status.ts'
import type { Container } from '../../support/container.ts'
import type { Host } from '../../support/host.ts'
import { Lab } from '../../support/lab.ts'
import { veth } from '../../support/netns.ts'
import { statusBecomes, tableLines } from '../../support/overlay.ts'
import type { PingStream } from '../../support/ping.ts'
import { eventually } from '../../support/process.ts'

/** A changed address may cost what was in flight for so long. */
const flightMs = 2000
const settled = 20

/** A host that is moved about, and two that are not. */
describe('agent: the underlay is followed', () => {
  let lab: Lab
  let host: Host
  let peers: readonly Host[]
  let first: AgentStatus
  let mine: Container
  let theirs: readonly [Container, Container]

  const reasons = ({ health }: AgentStatus) => health.reasons.map(({ message }) => message).join('; ')
  const ready = ({ health }: AgentStatus) => health.state === 'ready'

  before(async () => {
    lab = await Lab.create({ hosts: 3 })
    host = lab.host(1)
    peers = [lab.host(2), lab.host(3)]
    await lab.startAgents()
    mine = await host.addContainer('a')
    theirs = [await lab.host(2).addContainer('b'), await lab.host(3).addContainer('c')]
    await mine.ping(theirs[0].address)
    first = await statusBecomes(host, 'ready', ready)
  })
  after(() => lab.destroy())

  const answers = (stream: PingStream) =>
    Array.from({ length: settled }).reduce<Promise<void>>(
      (previous) => previous.then(() => stream.nextAnswer()),
      Promise.resolve(),
    )

  /** The longest gap of any ping to and from the host; nothing between the others is ever lost. */
  const gapDuring = async (happens: () => Promise<unknown>) => {
    const streams = [
      await mine.pingStream(theirs[0].address),
      await theirs[1].pingStream(mine.address),
      await theirs[0].pingStream(theirs[1].address),
    ]
    await happens()
    await Promise.all(streams.map(answers))
    const results = await Promise.all(streams.map((stream) => stream.stop()))
    expect(results[2]?.lost, 'lost between hosts that did not move').to.equal(0)
    const [to, from] = results
    return {
      gapMs: Math.max(to?.longestGapMs ?? Infinity, from?.longestGapMs ?? Infinity),
      lost: (to?.lost ?? Infinity) + (from?.lost ?? Infinity),
    }
  }

  /** Each peer has one FDB entry for the host, with this address; and the host is who it was. */
  const isKnownAs = async (address: string) => {
    for (const peer of peers)
      await eventually(`${peer.name} sends to ${address}`, async () => {
        const mac = first.device?.mac ?? ''
        const ofHost = (await peer.tables()).fdb.filter((row) => row.mac === mac)
        return JSON.stringify(ofHost.map(({ dst }) => dst)) === JSON.stringify([address]) ? true : undefined
      })
    const status = await statusBecomes(host, 'ready', ready)
    expect(status.underlay?.address).to.equal(address)
    expect(status.lease?.subnet).to.equal(first.lease?.subnet)
    expect(status.lease?.leaseId).to.equal(first.lease?.leaseId)
    expect(status.device?.mac).to.equal(first.device?.mac)
    expect(status.node).to.equal(first.node)
    const [link] = JSON.parse(await host.netns.ip('-j', '-d', 'link', 'show', 'tweed.1')) as [
      { readonly linkinfo: { readonly info_data: { readonly local: string } } },
    ]
    expect(link.linkinfo.info_data.local).to.equal(address)
    const keys = (await lab.etcdEntries()).map(({ key }) => key).filter((key) => key.includes('/subnets/'))
    expect(keys).to.have.length(3)
  }

  const measured = ({ test }: Mocha.Context, gapMs: number) => {
    expect(gapMs).to.be.lessThan(flightMs)
    if (test) test.title += `: longest gap ${gapMs.toFixed(0)} ms`
  }

  const mtuBecomes = (mtuBytes: number) =>
    eventually(`MTU ${String(mtuBytes)}`, async () => {
      const link = await host.netns.ip('link', 'show', 'tweed.1')
      const env = await host.subnetEnv()
      return link.includes(`mtu ${String(mtuBytes)} `) && env.mtuBytes === mtuBytes ? true : undefined
    })

  const index = async (device: string) =>
    (JSON.parse(await host.netns.ip('-j', 'link', 'show', device)) as { ifindex: number }[])[0]?.ifindex

  it('address changed: re-published on the same etcd lease, the device changed live', async function () {
    const device = await index('tweed.1')
    const { gapMs } = await gapDuring(async () => {
      await host.netns.batch([
        'addr del 192.0.2.11/24 dev eth0',
        'addr add 192.0.2.51/24 dev eth0',
        'route add default via 192.0.2.1',
      ])
      await isKnownAs('192.0.2.51')
    })
    measured(this, gapMs)
    expect(await index('tweed.1')).to.equal(device)
  })

  it('address changed back, the new one there before the old one goes', async function () {
    const { gapMs } = await gapDuring(async () => {
      await host.netns.sysctl('net.ipv4.conf.eth0.promote_secondaries', '1')
      await host.netns.batch(['addr add 192.0.2.11/24 dev eth0', 'addr del 192.0.2.51/24 dev eth0'])
      await isKnownAs('192.0.2.11')
    })
    measured(this, gapMs)
  })

  it('MTU lowered and raised: the device and subnet.env follow, and nothing is lost', async () => {
    const { lost } = await gapDuring(async () => {
      await host.netns.batch(['link set eth0 mtu 1400'])
      await mtuBecomes(1350)
      await host.netns.batch(['link set eth0 mtu 1500'])
      await mtuBecomes(1450)
      await isKnownAs('192.0.2.11')
    })
    expect(lost).to.equal(0)
  })

  it('interface down: told, and nothing is deleted; up again: the ping recovers', async () => {
    const lines = await tableLines(host)
    const revision = await lab.etcdRevision()
    const streams = [await mine.pingStream(theirs[0].address), await theirs[1].pingStream(mine.address)]
    await host.netns.batch(['link set eth0 down'])
    const status = await statusBecomes(host, 'says so', (now) => reasons(now).includes('eth0 is down'))
    expect(status.health.state).to.equal('degraded')
    expect(await tableLines(host)).to.deep.equal(lines)
    await host.netns.batch(['link set eth0 up', 'route add default via 192.0.2.1'])
    await Promise.all(streams.map(answers))
    await Promise.all(streams.map((stream) => stream.stop()))
    await isKnownAs('192.0.2.11')
    expect(await tableLines(host)).to.deep.equal(lines)
    expect(await lab.etcdRevision()).to.equal(revision)
  })

  it('an interface named by --iface and renamed: everything stays, and the missing name is told', async () => {
    const lines = await tableLines(host)
    const { lost } = await gapDuring(async () => {
      await host.netns.batch(['link set eth0 name wan0'])
      const missing = await statusBecomes(host, 'misses it', (now) => reasons(now).includes('--iface eth0'))
      expect(missing.health.state).to.equal('degraded')
      expect(await tableLines(host)).to.deep.equal(lines)
      await host.netns.batch(['link set wan0 name eth0'])
      await isKnownAs('192.0.2.11')
    })
    expect(lost).to.equal(0)
  })

  it('interface deleted and recreated with the same address: the device comes back as it was', async () => {
    const streams = [await mine.pingStream(theirs[0].address), await theirs[1].pingStream(mine.address)]
    await host.netns.batch(['link del eth0'])
    await statusBecomes(host, 'misses it', (now) => reasons(now).includes('--iface eth0'))
    await connect('eth0', 'h1', '192.0.2.11')
    await host.netns.batch(['route add default via 192.0.2.1'])
    await Promise.all(streams.map(answers))
    await Promise.all(streams.map((stream) => stream.stop()))
    await isKnownAs('192.0.2.11')
  })

  const connect = async (device: string, port: string, address: string) => {
    await veth([lab.underlay, port], [host.netns, device])
    await lab.underlay.batch([`link set ${port} master br0`])
    await host.netns.batch([`addr add ${address}/24 dev ${device}`])
  }

  describe('found by the default route', () => {
    before(async () => {
      await host.agent?.kill('SIGTERM')
      await (await host.startAgent([], '')).waitReady()
    })

    it('interface renamed: nothing is lost', async () => {
      const { lost } = await gapDuring(async () => {
        await host.netns.batch(['link set eth0 name wan0'])
        await statusBecomes(host, 'the new name', ({ underlay }) => underlay?.interface === 'wan0')
        await isKnownAs('192.0.2.11')
      })
      expect(lost).to.equal(0)
      await host.netns.batch(['link set wan0 name eth0'])
      await statusBecomes(host, 'the old name', ({ underlay }) => underlay?.interface === 'eth0')
    })

    it('default route moved to another interface: address, device and MTU follow', async function () {
      await connect('eth1', 'h1b', '192.0.2.61')
      await host.netns.batch(['link set eth1 mtu 1450'])
      const device = await index('tweed.1')
      const { gapMs } = await gapDuring(async () => {
        await host.netns.batch(['route replace default via 192.0.2.1 dev eth1'])
        await isKnownAs('192.0.2.61')
        await mtuBecomes(1400)
      })
      measured(this, gapMs)
      expect((await host.status()).underlay?.interface).to.equal('eth1')
      expect(await index('tweed.1')).to.equal(device)
    })

    it('default route gone: everything stays, and is followed again when there is one', async function () {
      const lines = await tableLines(host)
      const { gapMs } = await gapDuring(async () => {
        await host.netns.batch(['route del default'])
        await statusBecomes(host, 'says so', (now) => reasons(now).includes('no IPv4 default route'))
        expect(await tableLines(host)).to.deep.equal(lines)
        await host.netns.batch(['route add default via 192.0.2.1 dev eth0'])
        await isKnownAs('192.0.2.11')
        await mtuBecomes(1450)
      })
      measured(this, gapMs)
    })
  })
})
