import { expect } from 'chai'
import { Cidr } from '../../../../src/core/net/cidr.ts'
import { countLimit, Subnets } from '../../../../src/core/net/subnets.ts'
import { cidr4, cidr6 } from '../overlay/fixtures.ts'

const print = (cidr: Cidr | undefined): string => (cidr ? Cidr.print(cidr) : 'none')

describe('Subnets', () => {
  it('lists the subnets of a network in order', () => {
    expect([...Subnets.each(Subnets.inside(cidr4('10.5.0.0/22'), 24))].map(print)).to.deep.equal([
      '10.5.0.0/24',
      '10.5.1.0/24',
      '10.5.2.0/24',
      '10.5.3.0/24',
    ])
  })

  it('reaches the last address of either family', () => {
    expect(print(Subnets.inside(cidr4('0.0.0.0/0'), 32).last)).to.equal('255.255.255.255/32')
    const last6 = Subnets.inside(cidr6('::/0'), 128).last
    expect(print(last6)).to.equal('ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff/128')
  })

  it('bounds what it counts', () => {
    const all = Subnets.inside(cidr6('fc00::/7'), 64)
    expect(all.count).to.equal(countLimit)
    expect(print(all.at(countLimit - 1))).to.equal('fc00:0:ffff:ffff::/64')
    expect(all.at(countLimit)).to.equal(undefined)
  })

  it('has nothing outside its bounds', () => {
    const some = Subnets.between(cidr4('10.5.2.0/24'), cidr4('10.5.4.0/24'))
    expect([-1, 0, 2, 3, 0.5].map((i) => print(some.at(i)))).to.deep.equal([
      'none',
      '10.5.2.0/24',
      '10.5.4.0/24',
      'none',
      'none',
    ])
    expect(Subnets.between(cidr4('10.5.4.0/24'), cidr4('10.5.2.0/24')).count).to.equal(0)
  })

  for (const [prefix, range] of [
    ['10.5.3.0/24', { low: 1, high: 1 }],
    ['10.5.3.128/25', { low: 1, high: 1 }],
    ['10.5.2.0/23', { low: 0, high: 1 }],
    ['10.5.0.0/16', { low: 0, high: 2 }],
    ['0.0.0.0/0', { low: 0, high: 2 }],
    ['10.5.1.0/24', undefined],
    ['10.5.5.0/24', undefined],
    ['::/0', undefined],
  ] as const)
    it(`says which of 10.5.2.0/24 to 10.5.4.0/24 overlap ${prefix}`, () => {
      const some = Subnets.between<Cidr>(cidr4('10.5.2.0/24'), cidr4('10.5.4.0/24'))
      expect(some.overlapping(Cidr.parse(prefix) ?? cidr4('x'))).to.deep.equal(range)
    })
})
