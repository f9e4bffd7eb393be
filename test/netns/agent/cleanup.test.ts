import { access, rm } from 'node:fs/promises'
import { expect } from 'chai'
import { Lab } from '../../support/lab.ts'
import type { Host } from '../../support/host.ts'
import { nft } from '../../support/nft.ts'
import { fileFlags, statusBecomes, told } from '../../support/overlay.ts'
import { eventually } from '../../support/process.ts'

/** What others have on this host, of every kind that an agent makes itself. */
const foreign = [
  'link add flannel.7 address 02:00:00:00:07:01 type vxlan id 7 local 192.0.2.11 dev eth0 dstport 8472 nolearning',
  'addr add 10.7.1.0/32 dev flannel.7',
  'link set flannel.7 up',
  'link add tweed0 type veth peer name tweed0.1', // names like ours; a bridge would count its timers down
  'link set tweed0 up',
  'neigh add 10.7.2.0 lladdr 02:00:00:00:07:02 dev flannel.7 nud permanent',
  'neigh add 192.0.2.200 lladdr 02:00:00:00:07:03 dev eth0 nud permanent',
  'route add 10.7.2.0/24 via 10.7.2.0 dev flannel.7 onlink',
  'route add 198.51.100.0/24 via 192.0.2.1 dev eth0 proto static',
  'route add 203.0.113.0/24 via 192.0.2.1 dev eth0 proto 83',
  'route add blackhole 10.6.0.0/16 proto 83',
]

const furnish = async ({ netns }: Host) => {
  await netns.batch(foreign)
  await netns.bridge('fdb', 'add', '02:00:00:00:07:02', 'dev', 'flannel.7', 'dst', '192.0.2.12', 'self', 'permanent') // prettier-ignore
  await netns.exec('nft', 'add', 'table', 'ip', 'somebody')
}

for (const resolve of ['eager', 'on-miss'] as const)
  describe(`tweed cleanup (${resolve})`, () => {
    let lab: Lab
    let atFirst: Readonly<Record<string, string>>
    const cleanup = () => lab.host(1).tweed('cleanup', ...fileFlags(lab.host(1)))

    before(async () => {
      lab = await Lab.create({ hosts: 2, agentFlags: ['--resolve', resolve] })
      await furnish(lab.host(1))
      atFirst = await lab.host(1).snapshot()
    })
    beforeEach(async () => {
      await Promise.all(lab.hosts.filter(({ agent }) => !agent?.running).map((host) => host.startAgent()))
      for (const { agent } of lab.hosts) await agent?.waitReady()
      for (const host of lab.hosts) await statusBecomes(host, 'a peer', ({ peers }) => peers.total === 1)
      const other = (await lab.host(2).status()).lease?.subnet.replace('/24', '') ?? ''
      await lab.host(1).exec('ping', '-c1', '-W2', other) // in on-miss, rows now exist
      expect(await lab.host(1).snapshot()).not.to.deep.equal(atFirst)
    })
    after(() => lab.destroy())

    it('refuses while an agent runs, and changes nothing', async () => {
      const before = await lab.host(1).snapshot()
      const refused = await cleanup()
      expect(refused.code).to.equal(1)
      expect(refused.stderr).to.match(/^tweed: an agent answers on .*agent\.sock: stop it first.*\n$/)
      expect(await lab.host(1).snapshot()).to.deep.equal(before)
    })

    it('leaves the host as it was, byte for byte, and can be repeated', async () => {
      const host = lab.host(1)
      await host.agent?.kill('SIGTERM')
      for (let time = 0; time < 2; time++) {
        const cleaned = await cleanup()
        expect(cleaned.code, told(cleaned)).to.equal(0)
        expect(await host.snapshot()).to.deep.equal(atFirst)
      }
      for (const path of [host.paths.stateDir, host.paths.runDir, host.paths.subnetFile]) {
        const isThere = await access(path).then(() => true, () => false) // prettier-ignore
        expect(isThere, path).to.equal(false)
      }
    })

    it('does so after kill -9, and when the state directory is lost', async () => {
      const host = lab.host(1)
      await host.agent?.kill('SIGKILL')
      await rm(host.paths.stateDir, { recursive: true })
      const cleaned = await cleanup()
      expect(cleaned.code, told(cleaned)).to.equal(0)
      expect(await host.snapshot()).to.deep.equal(atFirst)
    })

    it('does so when the device has gone and its routes were replaced by others of ours', async () => {
      const host = lab.host(1)
      await host.agent?.kill('SIGKILL')
      await host.netns.batch(['link del tweed.1', 'route add 10.5.250.0/24 via 192.0.2.1 dev eth0 proto 84'])
      const cleaned = await cleanup()
      expect(cleaned.code, told(cleaned)).to.equal(0)
      expect(await host.snapshot()).to.deep.equal(atFirst)
    })

    it('does so under another device name', async () => {
      const host = lab.host(1)
      await host.agent?.kill('SIGTERM')
      expect((await cleanup()).code).to.equal(0)
      await (await host.startAgent(['--device', 'overlay7'])).waitReady()
      expect(await host.netns.ip('link', 'show', 'overlay7')).to.contain('overlay7')
      await host.agent?.kill('SIGTERM')
      const cleaned = await cleanup()
      expect(cleaned.code, told(cleaned)).to.equal(0)
      expect(await host.snapshot()).to.deep.equal(atFirst)
    })

    it('leaves etcd alone, so that the subnet comes back with the next start', async () => {
      const host = lab.host(1)
      const { subnet } = (await host.status()).lease ?? {}
      await host.agent?.kill('SIGTERM')
      const revision = await lab.etcdRevision()
      expect((await cleanup()).code).to.equal(0)
      expect(await lab.etcdRevision()).to.equal(revision)
      await (await host.startAgent()).waitReady()
      expect((await host.status()).lease?.subnet).to.equal(subnet)
    })
  })

describe('tweed cleanup of two families', () => {
  const network = { Network: '10.5.0.0/16', EnableIPv6: true, IPv6Network: 'fc00::/48' }
  const flags = ['--ip-masq', 'true', '--forward-rules', 'true', '--on-config-change', 'renumber']
  let lab: Lab
  let host: Host
  let atFirst: Readonly<Record<string, string>>

  before(async () => {
    lab = await Lab.create({ hosts: 2, ipv6: true, config: { ...network, Backend: { Type: 'vxlan' } } })
    host = lab.host(1)
    await furnish(host)
    // Left on: without it there is an anycast route less for each prefix.
    await host.netns.sysctl('net.ipv6.conf.all.forwarding', '1')
    await host.netns.batch([
      'route add fc00:0:0:ff::/64 via 2001:db8::1 dev eth0 proto static',
      'route add fc00:0:0:fe::/64 via 2001:db8::1 dev eth0 proto 83',
    ])
    await nft(
      host.netns,
      'table inet somebody { chain forward { type filter hook forward priority 0; policy drop; }; }',
    )
    atFirst = await host.snapshot()
  })
  after(() => lab.destroy())

  const start = async (): Promise<void> => {
    await Promise.all(lab.hosts.map((each) => each.startAgent(flags)))
    for (const each of lab.hosts) await each.agent?.waitReady()
    await statusBecomes(
      host,
      'peer and filter',
      ({ peers, filter: kept }) => peers.programmed === 1 && kept !== null,
    )
  }
  const cleaned = async (): Promise<void> => {
    for (const { agent } of lab.hosts) await agent?.kill('SIGTERM')
    for (let time = 0; time < 2; time++) {
      const { code, ...rest } = await host.tweed('cleanup', ...fileFlags(host))
      expect(code, told({ code, ...rest })).to.equal(0)
      expect(await host.snapshot()).to.deep.equal(atFirst)
    }
  }
  const ours = async () => {
    const { link, route, nft: rules } = await host.snapshot()
    return {
      devices: (JSON.parse(link ?? '[]') as { ifname: string }[])
        .map(({ ifname }) => ifname)
        .filter((name) => name.startsWith('tweed') && !name.startsWith('tweed0')),
      routes: (route?.match(/"protocol":"84"/g) ?? []).length,
      filter: rules?.includes('table inet tweed') ?? false,
      accepts: (rules?.match(/accept comment "tweed"/g) ?? []).length,
    }
  }

  it('leaves the host as it was', async () => {
    await start()
    expect(await ours()).to.deep.equal({
      devices: ['tweed.1', 'tweed-v6.1'],
      routes: 2,
      filter: true,
      accepts: 4,
    })
    await cleaned()
  })

  it('does so after vxlan has become host-gw', async () => {
    await start()
    for (const { agent } of lab.hosts) await agent?.kill('SIGTERM')
    await lab.putConfig({ ...network, Backend: { Type: 'host-gw' } })
    await start()
    await eventually('no device', async () => ((await ours()).devices.length === 0 ? true : undefined))
    expect(await ours()).to.deep.equal({ devices: [], routes: 2, filter: true, accepts: 4 })
    await cleaned()
  })

  it('does so where the agent died, and the network has become another since', async () => {
    await lab.putConfig({ ...network, Backend: { Type: 'vxlan' } })
    await start()
    for (const { agent } of lab.hosts) await agent?.kill('SIGKILL')
    await lab.putConfig({ ...network, Backend: { Type: 'host-gw' } })
    await host.netns.batch(['route add 10.5.250.0/24 via 192.0.2.1 dev eth0 proto 84'])
    await cleaned()
  })
})
