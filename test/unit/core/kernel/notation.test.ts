import { expect } from 'chai'
import { planLink } from '../../../../src/core/kernel/link-notation.ts'
import type { LinkFacts, VxlanSpec } from '../../../../src/core/kernel/link.ts'
import { printOp, printRow } from '../../../../src/core/kernel/notation.ts'
import type { Route } from '../../../../src/core/kernel/rows.ts'
import { Port, Vni } from '../../../../src/core/net/vni.ts'
import { cidr4, ip4, ip6, mac } from '../overlay/fixtures.ts'
import { fdb, link, neighbour, route } from './fixtures.ts'

const onLink: Route = { kind: 'route', link, dst: cidr4('10.5.0.0/16'), via: undefined }

describe('printOp', () => {
  it('says what somebody would type', () => {
    const typed = [
      printOp({ verb: 'add', row: fdb(2) }, 'tweed.1'),
      printOp({ verb: 'add', row: neighbour(2) }, 'tweed.1'),
      printOp({ verb: 'add', row: { ...neighbour(2), ip: ip6('fc00::2'), state: 'noarp' } }, 'tweed.1'),
      printOp({ verb: 'add', row: route(2) }, 'tweed.1'),
      printOp({ verb: 'add', row: route(2), replace: true }, 'tweed.1'),
      printOp({ verb: 'add', row: onLink }, 'tweed.1'),
      printOp({ verb: 'remove', row: fdb(2) }, 'tweed.1'),
      printOp({ verb: 'remove', row: neighbour(2) }, 'tweed.1'),
      printOp({ verb: 'remove', row: onLink }, 'tweed.1'),
    ]
    expect(typed).to.deep.equal([
      'bridge fdb replace 02:00:00:00:00:02 dev tweed.1 dst 192.0.2.2 self permanent',
      'ip neigh replace 10.5.2.0 lladdr 02:00:00:00:00:02 nud permanent dev tweed.1',
      'ip neigh replace fc00::2 lladdr 02:00:00:00:00:02 nud noarp dev tweed.1',
      'ip route add 10.5.2.0/24 via 10.5.2.0 dev tweed.1 onlink proto 84',
      'ip route replace 10.5.2.0/24 via 10.5.2.0 dev tweed.1 onlink proto 84',
      'ip route add 10.5.0.0/16 dev tweed.1 scope link proto 84',
      'bridge fdb del 02:00:00:00:00:02 dev tweed.1 dst 192.0.2.2 self permanent',
      'ip neigh del 10.5.2.0 lladdr 02:00:00:00:00:02 nud permanent dev tweed.1',
      'ip route del 10.5.0.0/16 dev tweed.1 scope link proto 84',
    ])
  })
})

describe('printRow', () => {
  it('says what the kernel lists, with the table in front', () => {
    expect([fdb(2), neighbour(2), route(2), onLink].map((row) => printRow(row, 'tweed.1'))).to.deep.equal([
      'fdb 02:00:00:00:00:02 dev tweed.1 dst 192.0.2.2 self permanent',
      'neigh 10.5.2.0 lladdr 02:00:00:00:00:02 nud permanent dev tweed.1',
      'route 10.5.2.0/24 via 10.5.2.0 dev tweed.1 onlink proto 84',
      'route 10.5.0.0/16 dev tweed.1 scope link proto 84',
    ])
  })
})

describe('planLink', () => {
  const spec: VxlanSpec = {
    family: 4,
    name: 'tweed.1',
    vni: Vni.flannel,
    port: Port.linuxVxlan,
    underlay: 2,
    local: ip4('192.0.2.1'),
    mac: mac('02:00:00:00:00:01'),
    mtuBytes: 1450,
    learning: false,
    gbp: false,
    addresses: [cidr4('10.5.1.0/32')],
    overlay: [cidr4('10.5.0.0/16')],
  }
  const standing: LinkFacts = {
    ...{
      index: link,
      name: 'tweed.1',
      kind: 'vxlan',
      mac: spec.mac,
      mtuBytes: 1450,
      up: true,
      running: true,
    },
    ...{ loopback: false, alias: '' },
    vxlan: { vni: 1, port: 8472, underlay: 2, local: spec.local, learning: false, gbp: false },
  }
  const own = { link, address: cidr4('10.5.1.0/32'), scope: 0, secondary: false }
  const plan = (change: Partial<LinkFacts>, addresses = [own]) =>
    planLink(spec, 'eth0', { link: { ...standing, ...change }, addresses })
  const create = [
    'ip link add tweed.1 address 02:00:00:00:00:01 mtu 1450 type vxlan id 1 local 192.0.2.1 dev eth0 dstport 8472 nolearning',
    'ip addr add 10.5.1.0/32 dev tweed.1',
    'ip link set tweed.1 up',
  ]

  it('has nothing to do for a device that is as wanted', () => {
    expect(plan({})).to.deep.equal([])
  })
  it('makes one where there is none', () => {
    expect(planLink(spec, 'eth0', { link: undefined, addresses: [] })).to.deep.equal(create)
  })
  it('makes another where the VNI or the port differs', () => {
    const vxlan = { vni: 1, port: 8472, underlay: 2, local: spec.local, learning: false, gbp: false }
    for (const other of [{ vni: 2 }, { port: 4789 }, { gbp: true }])
      expect(plan({ vxlan: { ...vxlan, ...other } })).to.deep.equal(['ip link del tweed.1', ...create])
  })
  it('switches checksum offload only where it is wanted one way and stands the other', () => {
    const planned = (wanted: boolean | undefined, checksumOffload: boolean | undefined) =>
      planLink({ ...spec, checksumOffload: wanted }, 'eth0', {
        link: standing,
        addresses: [own],
        checksumOffload,
      })
    const set = (word: string) => [`ethtool -K tweed.1 tx-checksum-ip-generic ${word}`]
    for (const stands of [true, false, undefined]) expect(planned(undefined, stands)).to.deep.equal([])
    for (const same of [true, false]) expect(planned(same, same)).to.deep.equal([])
    for (const stands of [true, undefined]) expect(planned(false, stands)).to.deep.equal(set('off'))
    expect(planned(true, false)).to.deep.equal(set('on'))
    const made = (checksumOffload: boolean) =>
      planLink({ ...spec, checksumOffload }, 'eth0', { link: undefined, addresses: [] })
    expect(made(true)).to.deep.equal(create)
    expect(made(false)).to.deep.equal([create[0], ...set('off'), ...create.slice(1)])
  })
  it('changes what can be changed', () => {
    const foreign = [
      { ...own, address: cidr4('10.5.9.0/32') },
      { ...own, address: cidr4('198.51.100.1/32') },
    ]
    expect(plan({ mtuBytes: 1400, mac: mac('02:00:00:00:00:99'), up: false }, foreign)).to.deep.equal([
      'ip link set tweed.1 mtu 1450',
      'ip link set tweed.1 address 02:00:00:00:00:01',
      'ip addr add 10.5.1.0/32 dev tweed.1',
      'ip addr del 10.5.9.0/32 dev tweed.1',
      'ip link set tweed.1 up',
    ])
  })
})
