import { expect } from 'chai'
import { firstValueFrom, lastValueFrom } from 'rxjs'
import { filterChanges$ } from '../../../src/adapters/netlink/filter-events.ts'
import { openPacketFilter } from '../../../src/adapters/nftables/packet-filter.ts'
import { filterChanges } from '../../../src/core/filter/changes.ts'
import { Fault } from '../../../src/core/fault.ts'
import type { FilterSpec } from '../../../src/core/filter/masquerade.ts'
import type { FilterChange } from '../../../src/ports/packet-filter.ts'
import { Netns } from '../../support/netns.ts'
import { SourceWatch } from '../../support/nft.ts'
import { ping } from '../../support/ping.ts'
import { eventually, output } from '../../support/process.ts'
import { ipv4, ipv6, spec } from '../../unit/core/filter/fixtures.ts'

// The adapter works in the namespace that this process is in: that is the host here.
const filter = openPacketFilter(filterChanges$())
const nft = (commands: string) => output(['nft', commands])
const planned = async (wanted?: FilterSpec) =>
  filterChanges(await firstValueFrom(filter.read$()), wanted).commands
const keep = async (wanted?: FilterSpec) => {
  const commands = await planned(wanted)
  if (commands.length > 0) await lastValueFrom(filter.apply$(commands))
}
const both = (more: Partial<FilterSpec> = {}) => spec({ families: [ipv4, ipv6], ...more })

describe('openPacketFilter', () => {
  afterEach(() => nft('flush ruleset'))

  it('reads back what it wrote as what was wanted', async () => {
    for (const wanted of [both(), both({ fullyRandom: false }), spec(), spec({ families: [ipv6] })]) {
      await keep(wanted)
      expect(await planned(wanted)).to.deep.equal([])
    }
    await keep()
    expect(await nft('list ruleset')).to.equal('')
  })

  it('writes all or nothing', async () => {
    await keep(both())
    const before = await nft('list ruleset')
    const bad = { rule: { family: 'inet', table: 'tweed', chain: 'none', expr: [{ accept: null }] } }
    const refused = await lastValueFrom(
      filter.apply$([{ delete: { table: { family: 'inet', name: 'tweed' } } }, { add: bad }]),
    ).catch((error: unknown) => error)
    expect(Fault.is(refused)).to.equal(true)
    expect(refused).to.include({ code: 'kernel-busy' }) // the table was there when it was read
    expect(await nft('list ruleset')).to.equal(before)
  })

  it('puts rules into chains of each family, as iptables and nft make them, and takes them out again', async () => {
    const chain = 'chain FORWARD { type filter hook forward priority 0; policy drop; counter; }'
    await nft(`table ip filter { ${chain}; }; table ip6 filter { ${chain}; }; table inet fw { ${chain}; }`)
    const before = await nft('list ruleset')
    const wanted = both({ masquerade: false, acceptForwarded: true })
    await keep(wanted)
    expect(await planned(wanted)).to.deep.equal([])
    expect((await nft('list ruleset')).match(/daddr .* accept comment "tweed"/g)).to.have.length(4)
    await keep()
    expect(await nft('list ruleset')).to.equal(before)
  })

  it('hears of changes, ours told from those of others', async () => {
    const heard: FilterChange[] = []
    const listening = filter.changes$.subscribe({
      next: (change) => heard.push(change),
      error: (error: unknown) => expect.fail(String(error)),
    })
    await keep(both())
    await eventually('ours', () => (heard.includes('own') ? true : undefined))
    expect(heard).not.to.include('others')
    heard.length = 0
    await nft('add table ip tweed; add table inet somebody')
    await eventually('of others', () => (heard.length === 2 ? true : undefined))
    expect(heard).to.deep.equal(['others', 'others'])
    heard.length = 0
    await nft('flush ruleset')
    await eventually('ours', () => (heard.includes('own') ? true : undefined))
    listening.unsubscribe()
  })
})

describe('masquerading of IPv6', () => {
  let container: Netns
  let internet: Netns
  let peer: Netns
  let atInternet: SourceWatch
  let atPeer: SourceWatch

  const join = async (name: string, port: string, [mine, its]: readonly [string, string]) => {
    const netns = await Netns.add(name)
    for (const which of ['all', 'default']) await netns.sysctl(`net.ipv6.conf.${which}.disable_ipv6`, '0')
    await output(['ip', 'link', 'add', port, 'type', 'veth', 'peer', 'name', 'eth0', 'netns', name])
    await output(['ip', 'addr', 'add', mine, 'dev', port, 'nodad'])
    await output(['ip', 'link', 'set', port, 'up'])
    await netns.batch([`addr add ${its} dev eth0 nodad`, 'link set eth0 up'])
    await netns.batch([`route add default via ${mine.replace(/\/.*/, '')}`])
    // The multicast groups of neighbour discovery take a moment to be joined.
    const router = mine.replace(/\/.*/, '')
    await eventually(`${name} reaches ${router}`, async () =>
      (await ping(netns, router, { waitMs: 300 })).received === 1 ? true : undefined,
    )
    return netns
  }

  before(async () => {
    await output(['sh', '-c', 'echo 1 > /proc/sys/net/ipv6/conf/all/forwarding'])
    container = await join('six-a', 'six0', ['fd00:5:0:9::1/64', 'fd00:5:0:9::2/64'])
    peer = await join('six-b', 'six1', ['fd00:5:0:7::1/64', 'fd00:5:0:7::2/64']) // as if behind a tunnel
    internet = await join('six-net', 'six2', ['2001:db8::1/64', '2001:db8::9/64'])
    atInternet = await SourceWatch.start(internet)
    atPeer = await SourceWatch.start(peer)
    await keep(both())
  })
  after(async () => {
    await nft('flush ruleset')
    for (const netns of [container, peer, internet]) await netns.remove()
  })

  it('gives packets to the world the address of the host', async () => {
    expect((await ping(container, '2001:db8::9')).received).to.equal(1)
    expect(await atInternet.seen()).to.deep.equal(['2001:db8::1'])
  })

  it('keeps sources inside the overlay', async () => {
    expect((await ping(container, 'fd00:5:0:7::2')).received).to.equal(1)
    expect(await atPeer.seen()).to.deep.equal(['fd00:5:0:9::2'])
  })

  it('shows a container who comes from outside, and masks him towards other hosts', async () => {
    const atContainer = await SourceWatch.start(container)
    expect((await ping(internet, 'fd00:5:0:9::2')).received).to.equal(1)
    expect(await atContainer.seen()).to.deep.equal(['2001:db8::9'])
    expect((await ping(internet, 'fd00:5:0:7::2')).received).to.equal(1)
    expect(await atPeer.seen()).to.deep.equal(['fd00:5:0:7::1'])
  })
})
