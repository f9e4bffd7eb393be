import { expect } from 'chai'
import type { AgentStatus } from '../../../src/core/status.ts'
import type { Container } from '../../support/container.ts'
import type { Host } from '../../support/host.ts'
import { Lab } from '../../support/lab.ts'
import { dualConfig, fdbOf, statusBecomes, tableLines, twoContainers } from '../../support/overlay.ts'
import { eventually } from '../../support/process.ts'
import { lossDuring } from '../../support/traffic.ts'

const device6 = 'tweed-v6.1'
/** A changed address may cost what was in flight for so long. */
const flightMs = 2000

for (const resolve of ['eager', 'on-miss'] as const)
  describe(`agent: dual stack, the IPv6 address of the underlay (${resolve})`, () => {
    let lab: Lab
    let host: Host
    let a: Container
    let b: Container
    let first: AgentStatus

    before(async () => {
      lab = await Lab.create({ hosts: 2, ipv6: true, config: dualConfig, agentFlags: ['--resolve', resolve] })
      host = lab.host(1)
      await lab.startAgents()
      ;[a, b] = await twoContainers(lab)
      for (const to of [b.address, b.address6]) await a.ping(to)
      first = await statusBecomes(host, 'rows of hosts', ({ tables }) => tables.neighbours.actual === 2)
    })
    after(() => lab.destroy())

    const measured = ({ test }: Mocha.Context, gapMs: number, lost: number) => {
      if (test) test.title += `: longest gap ${gapMs.toFixed(0)} ms, ${String(lost)} lost`
    }

    /** The peer has one FDB entry for the host, with this address, and the host is who it was. */
    const isKnownAs = async (address: string) => {
      await eventually(`h2 sends to ${address}`, async () =>
        JSON.stringify(await fdbOf(lab.host(2), device6)) === JSON.stringify([address]) ? true : undefined,
      )
      const status = await statusBecomes(host, 'ready', ({ health }) => health.state === 'ready')
      expect(status.underlay?.address).to.equal(`192.0.2.11,${address}`)
      expect(status.lease).to.include({ subnet: first.lease?.subnet, leaseId: first.lease?.leaseId })
      expect(status.device6?.mac).to.equal(first.device6?.mac)
      expect(await host.netns.ip('-d', 'link', 'show', device6)).to.contain(` local ${address} `)
    }

    it('is re-published when it is another, and IPv4 loses nothing', async function () {
      const { device6: before } = await host.status()
      const { ipv4, ipv6 } = await lossDuring(a, b, async () => {
        await host.netns.batch([
          'addr del 2001:db8::11/64 dev eth0',
          'addr add 2001:db8::51/64 dev eth0 nodad',
        ])
        await isKnownAs('2001:db8::51')
      })
      measured(this, ipv6.longestGapMs, ipv6.lost)
      expect(ipv4.lost).to.equal(0)
      expect(ipv6.longestGapMs).to.be.lessThan(flightMs)
      expect((await host.status()).device6?.index).to.equal(before?.index)
    })

    it('is changed back, the new one there before the old one goes', async function () {
      const { ipv4, ipv6 } = await lossDuring(a, b, async () => {
        await host.netns.batch([
          'addr add 2001:db8::11/64 dev eth0 nodad',
          'addr del 2001:db8::51/64 dev eth0',
        ])
        await isKnownAs('2001:db8::11')
      })
      measured(this, ipv6.longestGapMs, ipv6.lost)
      expect(ipv4.lost).to.equal(0)
      expect(ipv6.longestGapMs).to.be.lessThan(flightMs)
    })

    it('is missed when it is gone: everything stays, and what is missing is told', async () => {
      const lines = await tableLines(host, device6)
      const revision = await lab.etcdRevision()
      const { ipv4 } = await lossDuring(a, b, async () => {
        await host.netns.batch(['addr del 2001:db8::11/64 dev eth0'])
        const { health } = await statusBecomes(
          host,
          'misses it',
          ({ health: { state } }) => state !== 'ready',
        )
        expect(health.state).to.equal('degraded')
        expect(health.reasons.map(({ message }) => message).join()).to.contain(
          'eth0 has no usable IPv6 address',
        )
        expect(await tableLines(host, device6)).to.deep.equal(lines)
        await host.netns.batch(['addr add 2001:db8::11/64 dev eth0 nodad'])
        await isKnownAs('2001:db8::11')
      })
      expect(ipv4.lost).to.equal(0)
      expect(await lab.etcdRevision()).to.equal(revision)
    })
  })
