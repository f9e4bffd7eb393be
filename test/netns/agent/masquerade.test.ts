import { readFile } from 'node:fs/promises'
import { expect } from 'chai'
import type { Container } from '../../support/container.ts'
import { type Family, ipv4, overlays } from '../../support/families.ts'
import type { Host } from '../../support/host.ts'
import { builtProgram, Lab } from '../../support/lab.ts'
import type { Netns } from '../../support/netns.ts'
import { addInternet, internetOf, nft, ruleset, SourceWatch } from '../../support/nft.ts'
import { etcdFlags, fileFlags, statusBecomes, told, twoContainers } from '../../support/overlay.ts'
import { ping } from '../../support/ping.ts'
import { type Daemon, eventually } from '../../support/process.ts'

/** What others have there: it must outlive everything, byte for byte. */
const foreign = `
  table inet firewall {
    set friends { type ipv4_addr; elements = { 192.0.2.12, 192.0.2.13 }; }
    chain input { type filter hook input priority 0; policy accept; ip saddr @friends counter accept comment "tweed"; }
  }
  table ip tweed { chain postrouting { }; }
  table ip nat { chain POSTROUTING { type nat hook postrouting priority 100; policy accept; ip saddr 172.17.0.0/16 masquerade; }; }`

const ourTable = (netns: Netns): Promise<string> =>
  netns.exec('nft', '-a', 'list', 'table', 'inet', 'tweed').catch(() => '')

/** Counters go on by themselves. */
const uncounted = (listing: string): string => listing.replaceAll(/packets \d+ bytes \d+/g, '')

/** A network that has the usual one in it. */
const wider = {
  IPv4: { network: '10.4.0.0/15', config: { Network: '10.4.0.0/15', SubnetLen: 24 } },
  IPv6: { network: 'fc00::/47', config: { IPv6Network: 'fc00::/47' } },
}

/** The first address of a container's subnet, which is that of the device. */
const first = (container: Container, family: Family): string =>
  family === ipv4 ? container.address.replace(/\d+$/, '0') : container.address6.replace(/::.*/, '::')
const subnetOf = (container: Container, family: Family): string =>
  `${first(container, family)}/${family === ipv4 ? '24' : '64'}`

for (const overlay of overlays)
  describe(`agent --ip-masq, ${overlay.name}`, () => {
    let lab: Lab
    let internet: Netns
    let atInternet: SourceWatch
    let atB: SourceWatch
    let a: Container
    let b: Container
    let host: Host
    const { families } = overlay
    const flags = ['--ip-masq', 'true']

    before(async () => {
      lab = await Lab.create({ hosts: 2, ipv6: overlay.ipv6, config: overlay.config })
      host = lab.host(1)
      await nft(host.netns, foreign)
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

    const standing = (what: string): Promise<string> =>
      eventually(what, async () => {
        const listing = await ourTable(host.netns)
        return listing.includes('masquerade') ? listing : undefined // not while it is being put there
      })
    const plain = (listing: string): string => listing.replaceAll(/ # handle \d+/g, '')

    /** Every family reaches the world, with the address of the host. */
    const isMasked = async () => {
      for (const family of families) {
        await atInternet.seen()
        expect((await a.ping(internetOf[family.name].address)).received).to.equal(1)
        expect(await atInternet.seen()).to.deep.equal([family.underlay(11)])
      }
    }

    it('says so in status and subnet.env', async () => {
      const { filter: kept } = await statusBecomes(host, 'the filter', ({ filter }) => filter !== null)
      expect(kept).to.deep.equal({ masquerade: true, fullyRandom: true, forwardRules: false }) // prettier-ignore
      expect(await readFile(host.paths.subnetFile, 'utf8')).to.match(/^FLANNEL_IPMASQ=true$/m)
      expect((await host.tweed('status', '--run-dir', host.paths.runDir)).stdout).to.match(/^filter +masquerading on, forward rules off$/m) // prettier-ignore
    })

    it('lets a container reach the world with the address of its host', () => isMasked())

    for (const family of families) {
      const outside = internetOf[family.name]

      it(`keeps sources of ${family.name} inside the overlay, also that of a host`, async () => {
        expect((await a.ping(family.addressOf(b))).received).to.equal(1)
        expect(await atB.seen()).to.deep.equal([family.addressOf(a)])
        expect((await ping(host.netns, family.addressOf(b))).received).to.equal(1)
        expect(await atB.seen()).to.deep.equal([first(a, family)])
      })

      it(`shows a container who comes from outside to its own host by ${family.name}`, async () => {
        await internet.batch([`route add ${subnetOf(b, family)} via ${outside.router}`])
        await lab.underlay.batch([`route add ${subnetOf(b, family)} via ${family.underlay(12)}`])
        expect((await ping(internet, family.addressOf(b))).received).to.equal(1)
        expect(await atB.seen()).to.deep.equal([outside.address])
      })

      it(`masks who comes from outside by another host by ${family.name}, so that the answer goes back there`, async () => {
        await lab.underlay.batch([`route replace ${subnetOf(b, family)} via ${family.underlay(11)}`])
        expect((await ping(internet, family.addressOf(b))).received).to.equal(1)
        expect(await atB.seen()).to.deep.equal([first(a, family)])
      })
    }

    if (families.includes(ipv4))
      it('leaves multicast alone', async () => {
        await nft(
          host.netns,
          `table netdev wire {
            set seen { type ipv4_addr . ipv4_addr; size 64; flags dynamic; }
            chain out { type filter hook egress device eth0 priority 0; ip daddr 224.0.0.0/4 add @seen { ip saddr . ip daddr }; }
          }`,
        )
        const own = first(a, ipv4)
        // The kernel would choose the device of the source (route.c: the special hack for multicast).
        const send = `const s = require('dgram').createSocket('udp4')
          s.bind(0, '${own}', () => {
            s.setMulticastInterface('${host.address}')
            s.send('x', 9, '239.1.1.1', () => s.close())
          })`
        await host.exec(process.execPath, '-e', send)
        const seen = await host.exec('nft', 'list', 'set', 'netdev', 'wire', 'seen')
        expect(seen).to.contain(`${own} . 239.1.1.1`).and.not.to.contain(host.address)
        await nft(host.netns, 'delete table netdev wire')
      })

    it('repairs a flush of everything under a ping', async () => {
      const before = plain(await standing('the table'))
      const streams = await Promise.all(families.map(({ name }) => a.pingStream(internetOf[name].address)))
      await nft(host.netns, 'flush ruleset')
      await eventually('the table as before', async () =>
        plain(await ourTable(host.netns)) === before ? true : undefined,
      )
      for (const stream of streams) {
        await stream.nextAnswer()
        const { lost, longestGapMs } = await stream.stop()
        console.log(`      a flush cost ${String(lost)} answers; longest gap ${longestGapMs.toFixed(0)} ms`)
      }
      await isMasked()
      await nft(host.netns, foreign)
    })

    const edits = {
      'a rule removed': async () => {
        const handle = /masquerade .*# handle (\d+)/.exec(await ourTable(host.netns))?.[1] ?? ''
        await nft(host.netns, `delete rule inet tweed postrouting handle ${handle}`)
      },
      'a rule put in front': () => nft(host.netns, 'insert rule inet tweed postrouting accept'),
      'a chain more': () => nft(host.netns, 'add chain inet tweed more'),
      'all rules flushed': () => nft(host.netns, 'flush table inet tweed'),
      'the table removed': () => nft(host.netns, 'delete table inet tweed'),
    }
    for (const [edit, by] of Object.entries(edits))
      it(`repairs ${edit}`, async () => {
        const before = plain(await standing('the table'))
        await by()
        await eventually('the table as before', async () =>
          plain(await ourTable(host.netns)) === before ? true : undefined,
        )
        await isMasked()
      })

    it('writes nothing at a restart, and loses no packet', async () => {
      const streams = await Promise.all(
        families.flatMap((family) => [
          a.pingStream(internetOf[family.name].address),
          b.pingStream(family.addressOf(a)),
        ]),
      )
      const before = uncounted(await ruleset(host.netns))
      const monitor: Daemon = host.netns.start('nft', 'monitor')
      await host.agent?.kill()
      await (await host.startAgent(flags)).waitReady()
      await statusBecomes(host, 'filter looked at', ({ filter }) => filter?.masquerade === true)
      await nft(host.netns, 'add table inet marker')
      await monitor.line(/add table inet marker/)
      await monitor.kill()
      expect(monitor.lines.filter((line) => !/marker|new generation/.test(line))).to.deep.equal([])
      await nft(host.netns, 'delete table inet marker')
      expect(uncounted(await ruleset(host.netns))).to.equal(before)
      for (const stream of streams) {
        await stream.nextAnswer()
        expect((await stream.stop()).lost).to.equal(0)
      }
    })

    it('masquerades every new connection while the table is replaced for another network', async () => {
      const before = plain(await standing('the table'))
      const pings = families.map(
        ({ name }) =>
        a.netns.start('sh', '-c', `for i in $(seq 200); do ping -c1 -W1 -n ${internetOf[name].address}; done; echo over`), // prettier-ignore
      )
      for (const each of pings) await each.line(/1 received/)
      await atInternet.seen()
      const changes = families.map(({ name }) => wider[name].config)
      await lab.putConfig(Object.assign({}, overlay.config, ...changes) as object)
      await eventually('the rules for it', async () => {
        const table = await ourTable(host.netns)
        return families.every(({ name }) => table.includes(wider[name].network)) || undefined
      })
      for (const each of pings) await each.line(/^over$/)
      for (const each of pings) await each.kill()
      expect(await atInternet.seen()).to.deep.equal(families.map((family) => family.underlay(11)))
      await lab.putConfig(overlay.config)
      await eventually('the rules as before', async () =>
        plain(await ourTable(host.netns)) === before ? true : undefined,
      )
    })

    it('plans nothing where all is in place, and the table where it is not', async () => {
      const planned = () => host.tweed('plan', ...etcdFlags(lab), ...fileFlags(host), '--iface', 'eth0', '--ip-masq') // prettier-ignore
      expect((await planned()).stdout).to.equal('# nothing to change\n')
      await host.agent?.kill()
      await nft(host.netns, 'delete table inet tweed')
      expect((await planned()).stdout).to.match(/^nft add table inet tweed$/m)
      await (await host.startAgent(flags)).waitReady()
      await standing('the table')
    })

    it('keeps ports where it can if it is told to', async () => {
      expect(await ourTable(host.netns)).to.match(/masquerade fully-random/)
      await host.agent?.kill()
      await host.startAgent([...flags, '--ip-masq-fully-random-disable'])
      await eventually('no randomness', async () =>
        (await ourTable(host.netns)).includes('fully-random') ? undefined : true,
      )
      expect(await ourTable(host.netns)).to.match(/masquerade #/)
    })

    it('removes the table when it is started without, and nothing else', async () => {
      await host.agent?.kill()
      await (await host.startAgent()).waitReady()
      await eventually('no table', async () => ((await ourTable(host.netns)) === '' ? true : undefined))
      expect(await readFile(host.paths.subnetFile, 'utf8')).to.match(/^FLANNEL_IPMASQ=false$/m)
      for (const family of families) {
        const { address } = internetOf[family.name]
        expect((await a.ping(address, { waitMs: 200 })).received).to.equal(0)
        expect(await atInternet.seen()).to.deep.equal([family.addressOf(a)])
      }
      await host.agent?.kill()
      await (await host.startAgent(flags)).waitReady()
      await standing('the table')
    })

    it('has it removed by cleanup, and leaves tables of others byte for byte', async () => {
      const others = async () => (await ruleset(host.netns)).replace(/^table inet tweed [\s\S]*?^}\n/m, '')
      const before = await others()
      await host.agent?.kill('SIGTERM')
      const cleaned = await host.tweed('cleanup', ...fileFlags(host))
      expect(cleaned.stdout, told(cleaned)).to.contain('removed the table inet tweed')
      expect(await ruleset(host.netns)).to.equal(before)
    })
  })

describe('agent behind a forward chain that drops', () => {
  let lab: Lab
  let a: Container
  let b: Container
  let host: Host
  before(async () => {
    lab = await Lab.create({ hosts: 2 })
    host = lab.host(1)
    await lab.startAgents()
    ;[a, b] = await twoContainers(lab)
    await nft(
      host.netns,
      `table ip filter {
        chain FORWARD {
          type filter hook forward priority 0; policy drop;
          ct state established,related counter accept
          iifname "docker0" accept
        }
      }`,
    )
  })
  after(() => lab.destroy())

  const reaches = async () => (await b.ping(a.address)).received === 1
  const isCutOff = async () => (await b.ping(a.address, { waitMs: 100 })).received === 0
  const list = () => host.exec('nft', 'list', 'table', 'ip', 'filter')

  it('says so, and leaves it', async () => {
    expect(await isCutOff()).to.equal(true)
    const { health } = await statusBecomes(host, 'degraded', ({ health: { state } }) => state === 'degraded')
    expect(health.reasons).to.have.length(1)
    expect(health.reasons[0]?.code).to.equal('forward-dropped')
    expect(health.reasons[0]?.message).to.match(/^chain FORWARD of table ip filter \(policy drop\) drops packets of 10\.5\.0\.0\/16; --forward-rules/) // prettier-ignore
    expect(await list()).not.to.contain('10.5.0.0')
  })

  it('is content when somebody lets the overlay pass', async () => {
    await nft(host.netns, 'insert rule ip filter FORWARD ip daddr 10.5.0.0/16 accept')
    await statusBecomes(host, 'ready', ({ health: { state } }) => state === 'ready')
    expect(await reaches()).to.equal(true)
    const handle = /daddr .*# handle (\d+)/.exec(await ruleset(host.netns))?.[1] ?? ''
    await nft(host.netns, `delete rule ip filter FORWARD handle ${handle}`)
    await statusBecomes(host, 'degraded', ({ health: { state } }) => state === 'degraded')
  })

  it('lets it pass itself with --forward-rules, again after a flush, and takes that back', async () => {
    const before = await list()
    await host.agent?.kill()
    await (await host.startAgent(['--forward-rules', 'true'])).waitReady()
    await eventually('packets pass', async () => ((await reaches()) ? true : undefined))
    await nft(host.netns, 'flush chain ip filter FORWARD')
    await eventually('packets pass', async () => ((await reaches()) ? true : undefined))
    await nft(host.netns, 'add rule ip filter FORWARD ct state established,related counter accept')
    await nft(host.netns, 'add rule ip filter FORWARD iifname "docker0" accept')
    await host.agent?.kill('SIGTERM')
    expect(await reaches()).to.equal(true)
    expect((await host.tweed('cleanup', ...fileFlags(host))).code).to.equal(0)
    expect(uncounted(await list())).to.equal(uncounted(before))
  })
})

describe('agent beside iptables-legacy', () => {
  let lab: Lab
  let a: Container
  let b: Container
  let host: Host
  before(async () => {
    lab = await Lab.create({ hosts: 2, agentFlags: ['--resync', '1s'] })
    host = lab.host(1)
    await lab.startAgents()
    ;[a, b] = await twoContainers(lab)
  })
  after(() => lab.destroy())

  const legacy = (...args: readonly string[]) => host.exec('iptables-legacy', ...args)
  const reaches = async () => (await b.ping(a.address)).received === 1
  const isCutOff = async () => (await b.ping(a.address, { waitMs: 100 })).received === 0
  const becomes = (wanted: string) => statusBecomes(host, wanted, ({ health: { state } }) => state === wanted)

  it('makes no table of it by looking', async () => {
    await statusBecomes(host, 'filter looked at', ({ filter }) => filter !== null)
    expect(await host.exec('cat', '/proc/net/ip_tables_names')).to.equal('')
  })

  it('says that its policy drops, with a remedy, and leaves it', async () => {
    await legacy('-P', 'FORWARD', 'DROP')
    await legacy('-A', 'FORWARD', '-m', 'conntrack', '--ctstate', 'RELATED,ESTABLISHED', '-j', 'ACCEPT')
    await legacy(
      '-A',
      'FORWARD',
      '-i',
      'docker0',
      '-m',
      'comment',
      '--comment',
      'one of "docker"',
      '-j',
      'ACCEPT',
    )
    expect(await isCutOff()).to.equal(true)
    const before = await legacy('-S')
    const { health } = await becomes('degraded')
    expect(health.reasons).to.deep.equal([
      {
        code: 'forward-dropped',
        message:
          'chain FORWARD of iptables-legacy drops packets of 10.5.0.0/16, whatever nftables says; iptables-legacy -I FORWARD -s 10.5.0.0/16 -j ACCEPT, and the same with -d, would let them pass',
      },
    ])
    const plan = await host.tweed('plan', ...etcdFlags(lab), ...fileFlags(host), '--iface', 'eth0')
    expect(plan.stdout, told(plan)).to.match(/^# chain FORWARD of iptables-legacy drops /m)
    expect(await legacy('-S')).to.equal(before)
  })

  it('is content when the remedy has been taken, and packets pass', async () => {
    await legacy('-I', 'FORWARD', '-s', '10.5.0.0/16', '-j', 'ACCEPT')
    await legacy('-I', 'FORWARD', '-d', '10.5.0.0/16', '-j', 'ACCEPT')
    await becomes('ready')
    expect(await reaches()).to.equal(true)
  })

  it('sees a rule that drops, in a chain of somebody, and is content when that goes', async () => {
    await legacy('-N', 'SOMEBODY')
    await legacy('-A', 'SOMEBODY', '!', '-s', '192.0.2.0/24', '-j', 'REJECT')
    await legacy('-I', 'FORWARD', '-j', 'SOMEBODY')
    expect(await isCutOff()).to.equal(true)
    await becomes('degraded')
    await legacy('-F', 'SOMEBODY')
    await becomes('ready')
    expect(await reaches()).to.equal(true)
  })
})

describe('agent on a host without nft', () => {
  let lab: Lab
  before(async () => {
    const hidden = 'mount --bind /dev/null "$(command -v nft)" && exec "$0" "$@"'
    lab = await Lab.create({ hosts: 1, program: ['unshare', '-m', 'sh', '-c', hidden, ...builtProgram()] })
  })
  after(() => lab.destroy())

  it('is ready where nothing is wanted of it, and says what is missing where something is', async () => {
    const host = lab.host(1)
    await (await host.startAgent()).waitReady()
    await statusBecomes(host, 'filter looked at', ({ filter }) => filter !== null)
    await host.agent?.kill()
    await host.startAgent(['--ip-masq'])
    const { health } = await statusBecomes(host, 'degraded', ({ health: { state } }) => state === 'degraded')
    expect(health.reasons.map(({ code }) => code)).to.deep.equal(['nft-missing'])
    await host.agent?.kill()
    expect((await host.tweed('cleanup', ...fileFlags(host))).code).to.equal(0)
  })
})
