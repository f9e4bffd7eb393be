import { expect } from 'chai'
import type { InterfaceAddress, LinkFacts } from '../../../../src/core/kernel/link.ts'
import type { Cidr } from '../../../../src/core/net/cidr.ts'
import {
  chooseUnderlay,
  type InterfaceTable,
  type UnderlayChoice,
} from '../../../../src/core/overlay/underlay.ts'
import { cidr4, cidr6, ip4, ip6, must } from './fixtures.ts'

const linkOf = (index: number, name: string, mtuBytes = 1500): LinkFacts => ({
  ...{ index, name, kind: '', mac: undefined, mtuBytes, up: true, running: true, loopback: name === 'lo' },
  ...{ alias: '', vxlan: undefined },
})
const at = (link: number, address: Cidr, more: Partial<InterfaceAddress> = {}): InterfaceAddress => ({
  ...{ link, address, scope: 0, secondary: false },
  ...more,
})
const table: InterfaceTable = {
  links: [linkOf(1, 'lo', 65_536), linkOf(2, 'eth0'), linkOf(3, 'eth1', 9000), linkOf(4, 'bond0')],
  addresses: [
    at(1, cidr4('127.0.0.1/8'), { scope: 254 }),
    at(2, cidr6('2001:db8::1/64')),
    at(2, cidr4('169.254.1.1/16'), { scope: 253 }),
    at(2, cidr4('192.0.2.1/24')),
    at(2, cidr4('192.0.2.5/24'), { secondary: true }),
    at(3, cidr4('198.51.100.1/24')),
  ],
  defaultLink: 2,
  defaultLink6: 2,
}
const nothing: UnderlayChoice = { family: 4, names: [], patterns: [], reach: undefined }
const choose = (choice: Partial<UnderlayChoice> = {}, change: Partial<InterfaceTable> = {}) =>
  chooseUnderlay({ ...table, ...change }, { ...nothing, ...choice })

const eth0 = {
  ...{ link: 2, name: 'eth0', address: ip4('192.0.2.1'), address6: ip6('2001:db8::1') },
  mtuBytes: 1500,
}
const eth1 = { link: 3, name: 'eth1', address: ip4('198.51.100.1'), address6: undefined, mtuBytes: 9000 }

describe('chooseUnderlay', () => {
  it('takes the interface of the default route, and its primary global address', () => {
    expect(choose()).to.deep.equal(eth0)
  })

  it('takes an address of smaller scope where there is no other', () => {
    const addresses = table.addresses.filter(({ scope }) => scope === 253)
    expect(choose({}, { addresses })).to.deep.include({ address: ip4('169.254.1.1') })
  })

  it('takes the first named interface that there is, by name or address', () => {
    expect(choose({ names: ['wlan0', 'eth1', 'eth0'] })).to.deep.equal(eth1)
    expect(choose({ names: ['198.51.100.1'] })).to.deep.equal(eth1)
    expect(choose({ names: ['192.0.2.5'] })).to.deep.equal({ ...eth0, address: ip4('192.0.2.5') })
  })

  it('takes the first that a pattern matches, names before addresses', () => {
    expect(choose({ patterns: [/^wlan/, /^eth1$/] })).to.deep.equal(eth1)
    expect(choose({ patterns: [/^198\./] })).to.deep.equal(eth1)
  })

  it('prefers names to patterns to reach to the default route', () => {
    const reach = { link: 3, source: ip4('198.51.100.1') }
    expect(choose({ names: ['eth0'], patterns: [/eth1/], reach })).to.deep.equal(eth0)
    expect(choose({ patterns: [/eth0/], reach })).to.deep.equal(eth0)
    expect(choose({ reach })).to.deep.equal(eth1)
  })

  it('takes the source address that the look-up gave', () => {
    expect(choose({ reach: { link: 2, source: ip4('192.0.2.5') } })).to.deep.include({
      address: ip4('192.0.2.5'),
    })
  })

  it('says what was looked for and what there is', () => {
    const there =
      'there are eth0 (2001:db8::1/64, 169.254.1.1/16, 192.0.2.1/24, 192.0.2.5/24), eth1 (198.51.100.1/24), bond0'
    expect(choose({ names: ['wlan0'], patterns: [/^tun/] })).to.equal(
      `no interface matches --iface wlan0, --iface-regex ^tun; ${there}`,
    )
    expect(choose({}, { defaultLink: undefined })).to.match(
      /no IPv4 default route .* --iface; there are eth0/,
    )
    expect(choose({}, { defaultLink: 4 })).to.match(/default route has no usable IPv4 address/)
    expect(choose({ reach: { link: 4, source: undefined } })).to.match(/--iface-can-reach has no usable/)
    expect(choose({ names: ['wlan0'] }, { links: [must(table.links[0])] })).to.match(/none but the loopback$/)
  })
})
