import { readFile } from 'node:fs/promises'
import { expect } from 'chai'
import type { Container } from '../../support/container.ts'
import type { Host } from '../../support/host.ts'
import { Lab, prefix } from '../../support/lab.ts'
import { etcdFlags, fileFlags, ipv6Config, statusBecomes, tableLines, told } from '../../support/overlay.ts'
import { eventually } from '../../support/process.ts'
import { lostDuring } from '../../support/traffic.ts'

const device = 'tweed-v6.1'

for (const resolve of ['eager', 'on-miss'] as const)
  describe(`agent: an overlay of IPv6 alone, on an underlay of IPv6 alone (${resolve})`, () => {
    let lab: Lab
    let host: Host
    let a: Container
    let b: Container
    const containers = () => lab.hosts.flatMap((each) => each.containers)

    before(async () => {
      lab = await Lab.create({
        hosts: 3,
        ipv6: 'only',
        config: ipv6Config,
        agentFlags: ['--resolve', resolve],
      })
      host = lab.host(1)
      await lab.startAgents()
      a = await host.addContainer('a')
      b = await lab.host(2).addContainer('b')
      await lab.host(3).addContainer('c')
    })
    after(() => lab.destroy())

    it('talks to etcd over IPv6', () => {
      expect(lab.endpoint).to.contain('[2001:db8::1]:2379')
    })

    it('carries the very first packet from every container to every other', async () => {
      const lost: string[] = []
      for (const from of containers())
        for (const to of containers())
          if (from !== to && (await from.ping(to.address6)).received !== 1)
            lost.push(`${from.address6} -> ${to.address6}`)
      expect(lost).to.deep.equal([])
      expect((await host.status()).misses).to.include({ promoted: resolve === 'eager' ? 0 : 2, stranger: 0 })
    })

    it('has one device, one FDB entry for each other host, and the MTU that fits', async () => {
      const { fdb } = await host.tables(device)
      expect(fdb.map(({ dst }) => dst).sort()).to.deep.equal(['2001:db8::12', '2001:db8::13'])
      expect(await host.netns.ip('-br', 'link', 'show', 'type', 'vxlan')).to.match(/^tweed-v6\.1 .*\n$/)
      expect((await host.subnetEnv()).mtuBytes).to.equal(1430)
      const subnet = ((await host.status()).lease?.subnet ?? '').replace('::/64', '::1/64')
      expect(await readFile(host.paths.subnetFile, 'utf8')).to.equal(
        `FLANNEL_IPV6_NETWORK=fc00::/48\nFLANNEL_IPV6_SUBNET=${subnet}\nFLANNEL_MTU=1430\nFLANNEL_IPMASQ=false\n`,
      )
    })

    it('writes nothing where flannel looks', async () => {
      const keys = (await lab.etcdEntries()).map(({ key }) => key)
      expect(keys.filter((key) => key.startsWith(`${prefix}/subnets`))).to.deep.equal([])
      expect(keys.filter((key) => key.startsWith(`${prefix}/ipv6/subnets/`))).to.have.length(3)
    })

    it('loses nothing when it restarts without etcd', async () => {
      // Rows for single containers come and go by themselves within two seconds of a promotion.
      await statusBecomes(host, 'rows of hosts alone', ({ tables }) => tables.neighbours.actual === 2)
      const lines = await tableLines(host, device)
      const lost = await lostDuring(a, b, async () => {
        await lab.etcd.kill()
        await host.agent?.kill('SIGKILL')
        await host.startAgent()
        await statusBecomes(host, 'degraded', ({ health }) => health.state === 'degraded')
      })
      expect(lost).to.equal(0)
      expect(await tableLines(host, device)).to.deep.equal(lines)
      await lab.etcd.restart()
      await statusBecomes(host, 'ready', ({ health }) => health.state === 'ready', 30_000)
    })

    it('comes back as it was after a reboot', async () => {
      const { lease, device6 } = await host.status()
      await host.agent?.kill('SIGKILL')
      await host.netns.batch([`link del ${device}`])
      const status = await (await host.startAgent()).waitReady()
      expect(status.lease?.subnet).to.equal(lease?.subnet)
      expect(status.device6?.mac).to.equal(device6?.mac)
      expect((await b.ping(a.address6)).received).to.equal(1)
      expect((await a.ping(b.address6)).received).to.equal(1)
    })

    it('is shown to people without a word of IPv4', async () => {
      for (const command of ['status', 'peers']) {
        const said = await host.tweed(command, '--run-dir', host.paths.runDir)
        expect(said.code, told(said)).to.equal(0)
        expect(said.stdout).to.not.match(/undefined|null|NaN|0\.0\.0\.0/)
      }
      const { stdout } = await host.tweed('status', '--run-dir', host.paths.runDir)
      expect(stdout).to.match(/^underlay +eth0 2001:db8::11 mtu 1500$/m)
      expect(stdout).to.match(/^device +tweed-v6\.1 [0-9a-f:]{17} mtu 1430 vni 1 port 8472$/m)
    })

    it('plans nothing where all is in place', async () => {
      // Rows for single containers come and go by themselves within two seconds of a promotion.
      await eventually('nothing is left to change', async () => {
        const planned = await host.tweed('plan', ...etcdFlags(lab), ...fileFlags(host), '--iface', 'eth0')
        return planned.stdout === '# nothing to change\n' || undefined
      })
    })

    it('leaves, and its peers know at once', async () => {
      const third = lab.host(3)
      await third.agent?.kill('SIGTERM')
      const left = await third.tweed('leave', ...etcdFlags(lab), ...fileFlags(third))
      expect(left.code, told(left)).to.equal(0)
      await statusBecomes(host, 'one peer', ({ peers }) => peers.total === 1)
      await eventually('h1 has no rows of it', async () =>
        (await tableLines(host, device)).some((line) => line.includes('2001:db8::13')) ? undefined : true,
      )
      expect(await third.netns.ip('-br', 'link', 'show', 'type', 'vxlan')).to.equal('')
    })
  })
