import { expect } from 'chai'
import { Cidr } from '../../../../src/core/net/cidr.ts'
import { Ip } from '../../../../src/core/net/ip.ts'
import { Ipv4 } from '../../../../src/core/net/ipv4.ts'
import { Ipv6 } from '../../../../src/core/net/ipv6.ts'
import { Mac } from '../../../../src/core/net/mac.ts'
import { vxlanOverheadBytes } from '../../../../src/core/net/mtu.ts'
import { Port, Vni } from '../../../../src/core/net/vni.ts'

describe('Ipv4', () => {
  for (const text of ['0.0.0.0', '10.5.52.0', '192.0.2.255', '255.255.255.255'])
    it(`reads and prints ${text}`, () => {
      expect(Ipv4.print(Ipv4.parse(text) ?? Ipv4.of(1))).to.equal(text)
    })

  for (const text of [
    '',
    '10',
    '10.5.1',
    '10.5.1.256',
    '010.5.1.1',
    '10.5.1.1 ',
    '0x0a.5.1.1',
    '10.5.1.1.1',
    '1e1.1.1.1',
  ])
    it(`refuses "${text}"`, () => {
      expect(Ipv4.parse(text)).to.equal(undefined)
    })

  it('masks every length, 0 and 32 included', () => {
    expect([0, 1, 24, 32].map((length) => Ipv4.mask(length))).to.deep.equal([
      0, 0x8000_0000, 0xffff_ff00, 0xffff_ffff,
    ])
  })
})

describe('Ipv6', () => {
  // RFC 5952 §4 and §5: zeros, case, the first of the longest runs, no run of one.
  for (const [text, canonical] of [
    ['2001:0DB8::0001', '2001:db8::1'],
    ['2001:db8:0:0:0:0:2:1', '2001:db8::2:1'],
    ['2001:db8:0:1:1:1:1:1', '2001:db8:0:1:1:1:1:1'],
    ['2001:0:0:1:0:0:0:1', '2001:0:0:1::1'],
    ['2001:db8:0:0:1:0:0:1', '2001:db8::1:0:0:1'],
    ['0:0:0:0:0:0:0:0', '::'],
    ['1::', '1::'],
    ['fc00:0:0:1::', 'fc00:0:0:1::'],
    ['::ffff:192.0.2.1', '::ffff:c000:201'],
  ] as const)
    it(`reads ${text} and prints ${canonical}`, () => {
      expect(Ipv6.print(Ipv6.parse(text) ?? must0())).to.equal(canonical)
    })

  for (const text of [
    '',
    ':',
    ':::',
    '1',
    '1:2:3:4:5:6:7',
    '1:2:3:4:5:6:7:8:9',
    '::1::',
    ':1:2:3:4:5:6:7',
    '1::2:3:4:5:6:7:8',
    '20011::',
    'g::',
    '::1%eth0',
    '192.0.2.1',
    '::192.0.2.256',
  ])
    it(`refuses "${text}"`, () => {
      expect(Ipv6.parse(text)).to.equal(undefined)
    })
})

const must0 = (): never => {
  throw new Error('not parsed')
}

describe('Ip', () => {
  it('tells the families apart', () => {
    expect(['192.0.2.1', '::1'].map((text) => Ip.family(Ip.parse(text) ?? must0()))).to.deep.equal([4, 6])
  })
})

describe('Cidr', () => {
  const parse = (text: string): Cidr => Cidr.parse(text) ?? must0()

  for (const text of [
    '10.5.0.0/33',
    '10.5.0.0',
    '10.5.0.0/',
    '10.5.0.0/-1',
    '10.5.0.0/08',
    '10.5.0.0/8/8',
    '::/129',
  ])
    it(`refuses "${text}"`, () => {
      expect(Cidr.parse(text)).to.equal(undefined)
    })

  for (const [text, network] of [
    ['10.5.7.9/16', '10.5.0.0/16'],
    ['10.5.7.9/32', '10.5.7.9/32'],
    ['255.1.2.3/0', '0.0.0.0/0'],
    ['fc00:0:0:1:2::3/64', 'fc00:0:0:1::/64'],
    ['fc00::1/0', '::/0'],
  ] as const)
    it(`finds the network ${network} of ${text}`, () => {
      expect(Cidr.print(Cidr.network(parse(text)))).to.equal(network)
      expect(Cidr.isNetwork(parse(text))).to.equal(text === network)
    })

  for (const [a, b, overlaps] of [
    ['10.5.0.0/16', '10.5.1.0/24', true],
    ['10.5.1.0/24', '10.5.0.0/16', true],
    ['10.5.1.0/24', '10.5.2.0/24', false],
    ['0.0.0.0/0', '198.51.100.7/32', true],
    ['0.0.0.0/0', '::/0', false],
    ['::/0', '0.0.0.0/0', false],
  ] as const)
    it(`${a} and ${b} ${overlaps ? 'overlap' : 'do not overlap'}`, () => {
      expect(Cidr.overlaps(parse(a), parse(b))).to.equal(overlaps)
    })

  it('has keys that are equal for equal prefixes only', () => {
    const keys = ['10.5.0.0/16', '10.5.0.0/17', '10.5.0.1/16', '::/0', '0.0.0.0/0'].map((t) =>
      Cidr.key(parse(t)),
    )
    expect(new Set(keys).size).to.equal(keys.length)
    expect(Cidr.key(parse('10.5.0.0/16'))).to.equal(keys[0])
  })
})

describe('Mac', () => {
  it('reads colons and dashes and prints colons', () => {
    for (const text of ['c6:d2:32:6f:8f:44', 'C6-D2-32-6F-8F-44'])
      expect(Mac.print(Mac.parse(text) ?? must0())).to.equal('c6:d2:32:6f:8f:44')
  })

  for (const text of [
    '',
    'c6:d2:32:6f:8f',
    'c6:d2:32:6f:8f:44:00',
    'c6:d2-32:6f:8f:44',
    'c6d2326f8f44',
    'g6:d2:32:6f:8f:44',
  ])
    it(`refuses "${text}"`, () => {
      expect(Mac.parse(text)).to.equal(undefined)
    })

  for (const [text, unicast] of [
    ['02:00:00:00:00:01', true],
    ['00:00:00:00:00:01', true],
    ['00:00:00:00:00:00', false],
    ['01:00:5e:00:00:01', false],
    ['33:33:00:00:00:01', false],
    ['ff:ff:ff:ff:ff:ff', false],
  ] as const)
    it(`${text} is ${unicast ? '' : 'not '}one station's`, () => {
      expect(Mac.isUnicast(Mac.parse(text) ?? must0())).to.equal(unicast)
    })

  it('makes local unicast addresses of any six octets', () => {
    expect(Mac.print(Mac.local([0xff, 0xff, 0xff, 0xff, 0xff, 0xff]))).to.equal('fe:ff:ff:ff:ff:ff')
    expect(Mac.print(Mac.local([0, 0, 0, 0, 0, 0]))).to.equal('02:00:00:00:00:00')
  })
})

describe('Vni and Port', () => {
  it('take their range and nothing else', () => {
    expect([0, 1, 0xff_ffff, 0x100_0000, 1.5, NaN].map(Vni.of)).to.deep.equal([
      undefined,
      1,
      0xff_ffff,
      undefined,
      undefined,
      undefined,
    ])
    expect([0, 1, 65535, 65536].map(Port.of)).to.deep.equal([undefined, 1, 65535, undefined])
  })
})

describe('vxlanOverheadBytes', () => {
  it('is 50 over IPv4 and 70 over IPv6', () => {
    expect([vxlanOverheadBytes(4), vxlanOverheadBytes(6)]).to.deep.equal([50, 70])
  })
})
