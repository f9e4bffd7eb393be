import { expect } from 'chai'
import { firstValueFrom } from 'rxjs'
import { Fault } from '../../../src/core/fault.ts'
import type { VxlanSpec } from '../../../src/core/kernel/link.ts'
import { Cidr } from '../../../src/core/net/cidr.ts'
import { Port, Vni } from '../../../src/core/net/vni.ts'
import type { KernelEvent } from '../../../src/ports/kernel.ts'
import { Namespace, add, cidr, hostRows, ip, linkFacts, linkIndex, mac, sh, some } from './namespace.ts'

describe('ensureLink$', () => {
  let namespace: Namespace
  before(async () => {
    namespace = await Namespace.open()
  })
  after(() => namespace.close())

  const fault = async (change: Partial<VxlanSpec>): Promise<Fault> => {
    const outcome = await namespace.ensure(change).catch((error: unknown) => error)
    if (!Fault.is(outcome)) throw new Error('no fault')
    return outcome
  }
  const shown = async (): Promise<string> =>
    (await sh('ip -d link show dev tweed.42')) + (await sh('ip address show dev tweed.42'))

  it('creates the device, silent on the wire, with address and neighbour parameters, and brings it up', async () => {
    const seen = await namespace.during(async () => {
      expect(await namespace.ensure()).to.deep.include({ mac: mac('02:00:00:00:00:aa'), did: 'created' })
    })
    const text = await shown()
    expect(text).to.match(/<[^>]*UP[^>]*> mtu 1450/)
    expect(text).to.match(/vxlan id 42 local 192.0.2.1 dev nl0 srcport 0 0 dstport 8472 nolearning ttl auto/)
    expect(text).to.include('alias tweed').and.to.include('addrgenmode none')
    expect(text).to.include('inet 10.5.1.0/32 scope global').and.not.to.include('inet6')
    const tables = await sh('ip ntable show dev tweed.42')
    expect(tables.match(/app_probes 3 ucast_probes 0 mcast_probes 0/g)).to.have.lengthOf(2)
    expect(some(linkFacts(seen).at(-1))).to.deep.include({
      name: 'tweed.42',
      up: true,
      kind: 'vxlan',
      alias: 'tweed',
    })
  })

  it('writes nothing to a device that is right', async () => {
    // A device that has just come up is told of once more, when the kernel gets round to its carrier
    // (link_watch.c); a second run has nothing to be told of.
    let seen: readonly KernelEvent[] = []
    for (let run = 0; run < 2; run++)
      seen = await namespace.during(async () => {
        expect(await namespace.ensure()).to.deep.include({ did: 'nothing' })
      })
    expect(seen).to.deep.equal([])
  })

  it('changes live what can be changed live, and keeps the rows', async () => {
    const index = await linkIndex('tweed.42')
    await namespace.apply(...Object.values(hostRows(index, 1)).map(add))
    const changes: readonly Partial<VxlanSpec>[] = [
      { mtuBytes: 1400 },
      { learning: true },
      { local: ip('192.0.2.3') },
      { addresses: [cidr('10.5.9.0/32')] },
      { underlay: await linkIndex('nl1') },
    ]
    for (const change of changes) {
      const name = Object.keys(change).join()
      expect(await namespace.ensure(change), name).to.deep.include({ index, did: 'changed' })
      expect(await namespace.ensure(change), name).to.deep.include({ index, did: 'nothing' })
      expect((await namespace.dump(index)).rows, name).to.have.lengthOf(3)
    }
    expect(await namespace.ensure()).to.deep.include({ index, did: 'changed' })
    expect(await shown())
      .to.include('local 192.0.2.1 dev nl0')
      .and.to.include('mtu 1450')
  })

  it('changes the MAC of a device in use', async () => {
    const other = mac('02:00:00:00:00:bb')
    const index = await linkIndex('tweed.42')
    expect(await namespace.ensure({ mac: other })).to.deep.equal({ index, mac: other, did: 'changed' })
    expect(await shown()).to.include('02:00:00:00:00:bb')
  })

  it('repairs what somebody undid', async () => {
    await namespace.ensure()
    for (const harm of [
      'ip link set tweed.42 down',
      'ip link set tweed.42 alias other',
      'ip link set tweed.42 addrgenmode eui64',
      'ip address del 10.5.1.0/32 dev tweed.42',
      'ip ntable change name arp_cache dev tweed.42 app_probes 0',
      'ip link set tweed.42 type vxlan id 42 remote 192.0.2.9',
    ]) {
      await sh(harm)
      expect(await namespace.ensure(), harm).to.deep.include({ did: 'changed' })
      expect(await namespace.ensure(), harm).to.deep.include({ did: 'nothing' })
    }
    expect(await sh('bridge fdb show dev tweed.42')).not.to.include('192.0.2.9')
  })

  it('removes other addresses inside the overlay and leaves those outside', async () => {
    await sh('ip address add 10.5.7.7/32 dev tweed.42')
    await sh('ip address add 198.51.100.7/32 dev tweed.42')
    await namespace.ensure()
    expect(await shown())
      .to.include('10.5.1.0/32')
      .and.to.include('198.51.100.7/32')
      .and.not.to.include('10.5.7.7')
  })

  it('recreates, with the same MAC, what cannot be changed live', async () => {
    const changes: readonly Partial<VxlanSpec>[] = [
      { port: some(Port.of(4789)) },
      { gbp: true },
      { vni: some(Vni.of(43)) },
    ]
    for (const change of changes) {
      const name = Object.keys(change).join()
      expect(await namespace.ensure(change), name).to.deep.include({ did: 'recreated' })
      expect(await namespace.ensure(change), name).to.deep.include({ did: 'nothing' })
      expect(await shown(), name).to.include('02:00:00:00:00:aa')
    }
  })

  it("takes over a device of flannel's making that has our name and VNI", async () => {
    await sh('ip link del tweed.42')
    await sh('ip link add tweed.42 type vxlan id 42 local 192.0.2.1 dev nl0 dstport 8472 nolearning l2miss')
    expect(await namespace.ensure()).to.deep.include({ did: 'recreated' })
    expect(await shown()).not.to.include('l2miss')
  })

  it('refuses a device that is not ours, and leaves it', async () => {
    expect(await fault({ name: 'nl1' })).to.deep.include({
      code: 'link-conflict',
      transient: false,
      message:
        'nl1 exists and is a veth device, not ours: remove it (ip link del nl1) or choose another name',
    })
    await sh('ip link add other type vxlan id 7 local 192.0.2.1 dev nl0 dstport 4444')
    expect((await fault({ name: 'other' })).message).to.match(
      /^other exists and is a vxlan device with VNI 7/,
    )
    expect(await linkIndex('other')).to.be.greaterThan(0)
    await sh('ip link del other')
  })

  it('names the device of somebody else that carries the VNI already', async () => {
    await sh('ip link set tweed.42 alias other')
    expect(await fault({ name: 'tweed.x' })).to.deep.include({
      code: 'link-conflict',
      message:
        'tweed.42 carries VNI 42 on port 8472 already: remove it (ip link del tweed.42) or choose another VNI',
    })
  })

  it('takes the place of a device of ours that has the VNI under another name', async () => {
    await namespace.ensure()
    expect(await namespace.ensure({ name: 'tweed.x' })).to.deep.include({ did: 'created' })
    expect(await sh('ip -br link show type vxlan'))
      .to.match(/tweed\.x/)
      .and.not.to.match(/tweed\.42/)
    expect(await namespace.ensure()).to.deep.include({ did: 'created' })
  })

  it('gives an IPv6 overlay its address at once', async () => {
    const addresses = [cidr('10.5.1.0/32'), cidr('2001:db8:5:1::/128')]
    const overlay = [cidr('10.5.0.0/16'), cidr('2001:db8:5::/48')]
    await namespace.ensure({ addresses, overlay })
    expect(await shown()).to.match(/inet6 2001:db8:5:1::\/128 scope global nodad/)
    expect(await namespace.ensure({ addresses, overlay })).to.deep.include({ did: 'nothing' })
    await namespace.ensure({ overlay })
    expect(await shown()).not.to.include('2001:db8')
  })
})

describe('interfaces$ and routeTo$', () => {
  let namespace: Namespace
  before(async () => {
    namespace = await Namespace.open()
  })
  after(() => namespace.close())

  it('list devices and addresses as ip does', async () => {
    await namespace.ensure()
    const { links, addresses } = await firstValueFrom(namespace.kernel.interfaces$())
    const listed = JSON.parse(await sh('ip -j link')) as { ifname: string; mtu: number }[]
    expect(links.map((link) => [link.name, link.mtuBytes])).to.deep.equal(
      listed.map((l) => [l.ifname, l.mtu]),
    )
    expect(links.find(({ name }) => name === 'tweed.42')?.vxlan).to.deep.include({
      vni: 42,
      port: 8472,
      underlay: namespace.underlay,
      local: ip('192.0.2.1'),
      learning: false,
      gbp: false,
    })
    expect(addresses.filter(({ link }) => link === namespace.underlay).map(({ address, secondary }) => [Cidr.print(address), secondary]))
      .to.deep.equal([['192.0.2.1/24', false], ['192.0.2.3/24', true]]) // prettier-ignore
  })

  it('find the default route with the lowest metric', async () => {
    const read = async () => (await firstValueFrom(namespace.kernel.interfaces$())).defaultLink
    expect(await read()).to.equal(undefined)
    await sh('ip route add default dev nl1 metric 200')
    await sh('ip route add default via 192.0.2.254 dev nl0 metric 100')
    expect(await read()).to.equal(namespace.underlay)
    await sh('ip route del default metric 100')
    expect(await read()).to.equal(await linkIndex('nl1'))
    await sh('ip route del default metric 200')
  })

  it('find the way to an address, or none', async () => {
    const to = (text: string) => firstValueFrom(namespace.kernel.routeTo$(ip(text)))
    expect(await to('192.0.2.9')).to.deep.equal({ link: namespace.underlay, source: ip('192.0.2.1') })
    expect(await to('198.51.100.1')).to.equal(undefined)
  })
})

describe('removeAll$', () => {
  let namespace: Namespace
  before(async () => {
    namespace = await Namespace.open()
  })
  after(() => namespace.close())
  const removeAll = (name: string) =>
    firstValueFrom(namespace.kernel.removeAll$(name), { defaultValue: undefined })

  it('leaves the namespace as it was', async () => {
    const state = async () =>
      Promise.all(['ip -j link', 'ip -j address', 'ip -j route show table all'].map((c) => sh(c)))
    const before = await state()
    const { index } = await namespace.ensure()
    await namespace.apply(...Object.values(hostRows(index, 1)).map(add))
    await removeAll('tweed.42')
    expect(await state()).to.deep.equal(before)
    await removeAll('tweed.42')
    expect(await state()).to.deep.equal(before)
  })

  it('leaves devices and routes of others', async () => {
    await sh('ip link add tweed.42 type vxlan id 42 local 192.0.2.1 dev nl0 dstport 8472')
    await sh('ip route add 10.6.1.0/24 via 192.0.2.9 dev nl0')
    await sh('ip route add 10.6.2.0/24 via 192.0.2.9 dev nl0 proto 84')
    await removeAll('tweed.42')
    await removeAll('nl0')
    expect(await sh('ip route show 10.0.0.0/8')).to.equal('')
    expect(await sh('ip route show'))
      .to.include('10.6.1.0/24')
      .and.not.to.include('10.6.2.0/24')
    expect(await linkIndex('tweed.42')).to.be.greaterThan(0)
  })
})
