import { expect } from 'chai'
import type { Container } from '../../support/container.ts'
import type { Host } from '../../support/host.ts'
import { Lab } from '../../support/lab.ts'
import {
  dualConfig,
  fdbOf,
  peerBecomes,
  statusBecomes,
  tableLines,
  twoContainers,
} from '../../support/overlay.ts'
import { eventually } from '../../support/process.ts'
import { lostDuring } from '../../support/traffic.ts'

const device6 = 'tweed-v6.1'
const families = ['address', 'address6'] as const

/** One ICMP echo that may not be fragmented; the packet is so long in all. */
const unfragmented = (from: Container, to: string, bytes: number) => {
  const headers = to.includes(':') ? 48 : 28 // 40 IPv6 or 20 IPv4 + 8 ICMP
  return from.netns.exec('ping', '-c1', '-W2', '-M', 'do', '-s', String(bytes - headers), to)
}

for (const resolve of ['eager', 'on-miss'] as const)
  describe(`agent: dual stack (${resolve})`, () => {
    let lab: Lab
    const containers = () => lab.hosts.flatMap((host) => host.containers)
    const pairs = () =>
      containers().flatMap((from) => containers().flatMap((to) => (from === to ? [] : [[from, to] as const])))

    before(async () => {
      lab = await Lab.create({ hosts: 3, ipv6: true, config: dualConfig, agentFlags: ['--resolve', resolve] })
      await lab.startAgents()
      for (const host of lab.hosts) for (const name of ['a', 'b']) await host.addContainer(name)
    })
    after(() => lab.destroy())

    for (const family of families)
      it(`carries the very first packet from every container to every other (${family})`, async () => {
        const lost: string[] = []
        for (const [from, to] of pairs()) {
          const { received } = await from.ping(to[family], { count: 1 })
          if (received !== 1) lost.push(`${from[family]} -> ${to[family]}`)
        }
        expect(pairs()).to.have.length(30) // 6 × 5
        expect(lost).to.deep.equal([])
      })

    it(`has asked the agents ${resolve === 'eager' ? 'nothing' : 'once for each host and family in use'}`, async () => {
      for (const host of lab.hosts) {
        const { misses, peers } = await host.status()
        expect(peers).to.include({ total: 2, programmed: 2, failed: 0 })
        expect(misses).to.include({ promoted: resolve === 'eager' ? 0 : 4, stranger: 0, limited: 0 })
      }
    })

    it('has one FDB entry for each other host on each device', async () => {
      const others = (host: Host, stem: string) =>
        [11, 12, 13].map((n) => `${stem}${String(n)}`).filter((ip) => !ip.endsWith(host.address.slice(-2)))
      for (const host of lab.hosts) {
        expect(await fdbOf(host, 'tweed.1')).to.deep.equal(others(host, '192.0.2.'))
        expect(await fdbOf(host, device6)).to.deep.equal(others(host, '2001:db8::'))
      }
    })

    it('carries packets between a host itself and the containers of others', async () => {
      for (const from of lab.hosts)
        for (const to of containers())
          for (const family of families)
            expect(await from.exec('ping', '-c1', '-W2', to[family])).to.contain(' 0% packet loss')
    })

    it('carries packets as long as the MTU of both overlays, and has containers refuse longer ones', async () => {
      const [from, to] = [containers()[0], containers()[2]]
      if (!from || !to) throw new Error('no containers')
      expect((await lab.host(1).subnetEnv()).mtuBytes).to.equal(1430) // 1500 − 70
      for (const family of families) {
        expect(await unfragmented(from, to[family], 1430)).to.contain(' 0% packet loss')
        const tooLong = await unfragmented(from, to[family], 1431).catch(String)
        expect(tooLong).to.match(/message too long|Frag needed/i)
      }
    })

    it('fills the IPv6 underlay to its last byte', async () => {
      const [from, to] = [containers()[0], containers()[2]]
      if (!from || !to) throw new Error('no containers')
      const full = 'ip6 and udp dst port 8472 and ip6[4:2] = 1460' // 1500 - 40 of the outer header
      const sniffer = lab.host(2).netns.start('tcpdump', '-nli', 'eth0', '-c1', full)
      await sniffer.line(/listening on/)
      await unfragmented(from, to.address6, 1430)
      await sniffer.line(/2001:db8::11\.\d+ > 2001:db8::12\.8472/)
      await sniffer.kill()
    })

    it('loses nothing by kill -9 in either family, and writes nothing to etcd or the kernel', async () => {
      const host = lab.host(1)
      const [a, b] = [containers()[0], containers()[2]]
      if (!a || !b) throw new Error('no containers')
      await statusBecomes(
        host,
        'rows of hosts alone',
        ({ tables: { neighbours } }) => neighbours.actual === 4,
      )
      const lines = async () => [...(await tableLines(host)), ...(await tableLines(host, device6))]
      const before = await lines()
      const revision = await lab.etcdRevision()
      const { lease, device, device6: known } = await host.status()
      const monitors = [await host.monitorWrites(), await host.monitorWrites(device6)]
      const lost = await lostDuring(a, b, async () => {
        await host.agent?.kill('SIGKILL')
        const status = await (await host.startAgent()).waitReady()
        expect(status.lease?.subnet).to.equal(lease?.subnet)
        expect(status.device).to.deep.equal(device)
        expect(status.device6).to.deep.equal(known)
      })
      expect(lost).to.equal(0)
      for (const monitor of monitors) expect(await monitor.stop()).to.deep.equal([])
      expect(await lab.etcdRevision()).to.equal(revision)
      expect(await lines()).to.deep.equal(before).and.not.to.be.empty
    })
  })

describe('agent: dual stack, on-miss with --idle', () => {
  let lab: Lab
  let a: Container
  let b: Container
  const rows6 = async () =>
    (await tableLines(lab.host(1), device6)).filter((line) => line.includes('fc') || line.startsWith('fdb'))
  const subnetOf = async (host: number) => (await lab.host(host).status()).lease?.subnet ?? ''

  before(async () => {
    const agentFlags = ['--resolve', 'on-miss', '--idle', '2s']
    lab = await Lab.create({ hosts: 2, ipv6: true, config: dualConfig, agentFlags })
    await lab.startAgents()
    ;[a, b] = await twoContainers(lab)
  })
  after(() => lab.destroy())

  it('makes rows of the family that is used, and loses no packet over rounds of expiry and use', async () => {
    for (let round = 0; round < 3; round++) {
      expect((await a.ping(b.address6)).received, `round ${String(round)}`).to.equal(1)
      await peerBecomes(lab.host(1), await subnetOf(2), (peer) => peer?.state === 'programmed')
      expect(await fdbOf(lab.host(1), device6)).to.deep.equal(['2001:db8::12'])
      expect(await fdbOf(lab.host(1), 'tweed.1')).to.deep.equal([])
      await peerBecomes(lab.host(1), await subnetOf(2), (peer) => peer?.state === 'idle')
      await eventually('no row but the route of the overlay', async () => {
        const lines = await rows6()
        return lines.length === 1 && lines[0]?.startsWith('route fc00::/48 via - ') ? true : undefined
      })
    }
  })

  it('keeps one family and lets the other go', async () => {
    const stream = await a.pingStream(b.address6)
    expect((await a.ping(b.address)).received).to.equal(1)
    await eventually('the IPv4 rows are there', async () =>
      (await fdbOf(lab.host(1), 'tweed.1')).length === 1 ? true : undefined,
    )
    await eventually('the IPv4 rows are gone', async () =>
      (await fdbOf(lab.host(1), 'tweed.1')).length === 0 ? true : undefined,
    )
    expect(await fdbOf(lab.host(1), device6)).to.deep.equal(['2001:db8::12'])
    await stream.nextAnswer()
    expect((await stream.stop()).lost).to.equal(0)
  })
})
