import { expect } from 'chai'
import { parseSubnetKey, printSubnetKey } from '../../../../src/core/overlay/subnet-key.ts'
import { cidr4, cidr6 } from './fixtures.ts'

describe('parseSubnetKey', () => {
  it('reads an IPv4 subnet', () => {
    expect(parseSubnetKey('10.12.13.0-24')).to.deep.equal({
      subnet: cidr4('10.12.13.0/24'),
      subnet6: undefined,
    })
  })

  it('reads a pair of subnets', () => {
    expect(parseSubnetKey('10.12.13.0-24&fd00:12:13::-56')).to.deep.equal({
      subnet: cidr4('10.12.13.0/24'),
      subnet6: cidr6('fd00:12:13::/56'),
    })
  })

  it('reads an IPv6 subnet alone, which flannel can not', () => {
    expect(parseSubnetKey('fd00:12:13::-56')).to.deep.equal({
      subnet: undefined,
      subnet6: cidr6('fd00:12:13::/56'),
    })
  })

  const flannelRefuses = [
    '10', '10.12.13.0', '10.12.13-24', '10.12.13.300-24', '10.12.13.0-24hi', '&2001::-56', '10.12.13.0-24&:12:13:-56',
    '10.12.13.0-24&20011::-56', '10.12.13.0-24&2001-56', '10.12.13.0-24&2001::', '10.12.13.0-24&2001::-56hi',
    '10.12.13.0-32', '10.12.13.0-24&2001::-128',
  ] // prettier-ignore
  for (const text of flannelRefuses)
    it(`refuses ${text}, as flannel does`, () => {
      expect(parseSubnetKey(text)).to.equal(undefined)
    })

  // Two spellings of one subnet would be two peers.
  const flannelTakes = [
    'x10.5.52.0-24', '10.5.52.7-24', '10.5.052.0-24', '10x5x52.0-24', '10.5.52.0-024', '10.5.52.0-24&2001:0::-56',
    '10.5.52.0-24&FD00::-56', 'FD00::-56', '2001:0::-56', 'fd00::1-56', '&fd00::-56', 'fd00::-056', '10.5.52.0-24&fd00::1-56', '10.5.52.0-24\n', '../10.5.52.0-24',
    '10.0.0.0-08',
  ] // prettier-ignore
  for (const text of flannelTakes)
    it(`refuses ${JSON.stringify(text)}, which is not the canonical form`, () => {
      expect(parseSubnetKey(text)).to.equal(undefined)
    })
})

describe('printSubnetKey', () => {
  it('prints the key as flannel does', () => {
    const subnet = cidr4('10.5.52.0/24')
    expect(printSubnetKey({ subnet, subnet6: undefined })).to.equal('10.5.52.0-24')
    expect(printSubnetKey({ subnet, subnet6: cidr6('fc00:0:0:1::/64') })).to.equal(
      '10.5.52.0-24&fc00:0:0:1::-64',
    )
  })
})
