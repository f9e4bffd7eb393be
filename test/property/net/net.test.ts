import { expect } from 'chai'
import fc from 'fast-check'
import ipaddr from 'ipaddr.js'
import { Cidr } from '../../../src/core/net/cidr.ts'
import { Ipv4 } from '../../../src/core/net/ipv4.ts'
import { Ipv6 } from '../../../src/core/net/ipv6.ts'
import { Mac } from '../../../src/core/net/mac.ts'
import { Subnets } from '../../../src/core/net/subnets.ts'

const v4 = fc.integer({ min: 0, max: 2 ** 32 - 1 }).map(Ipv4.of)
const v6 = fc.bigInt({ min: 0n, max: 2n ** 128n - 1n }).map(Ipv6.of)
// Uniform addresses hardly ever contain runs of zeros.
const holey6 = fc
  .array(fc.constantFrom(0n, 0n, 1n, 0xdb8n, 0xffffn), { minLength: 8, maxLength: 8 })
  .map((groups) => Ipv6.of(groups.reduce<bigint>((bits, group) => (bits << 16n) | group, 0n)))
const cidr = fc.oneof(
  fc.tuple(v4, fc.integer({ min: 0, max: 32 })).map(([ip, length]) => Cidr.of(ip, length)),
  fc.tuple(fc.oneof(v6, holey6), fc.integer({ min: 0, max: 128 })).map(([ip, length]) => Cidr.of(ip, length)),
)
const fullLength = (ip: ipaddr.IPv6): string =>
  ip.parts.map((part) => part.toString(16).toUpperCase().padStart(4, '0')).join(':')
const fail = (): never => {
  throw new Error('the generator is wrong')
}

describe('addresses, against ipaddr.js', () => {
  it('IPv4 prints and parses the same', () => {
    fc.assert(
      fc.property(v4, (ip) => {
        const text = Ipv4.print(ip)
        expect(ipaddr.IPv4.parse(text).toByteArray()).to.deep.equal(
          [24, 16, 8, 0].map((n) => (ip >>> n) & 255),
        )
        expect(Ipv4.parse(text)).to.equal(ip)
      }),
    )
  })

  it('IPv6 prints RFC 5952 and parses any spelling', () => {
    fc.assert(
      fc.property(fc.oneof(v6, holey6), (ip) => {
        const text = Ipv6.print(ip)
        const oracle = ipaddr.IPv6.parse(text)
        expect(oracle.toRFC5952String()).to.equal(text)
        for (const spelling of [text, oracle.toNormalizedString(), fullLength(oracle)])
          expect(Ipv6.parse(spelling)).to.equal(ip)
      }),
    )
  })

  it('no text makes a parser throw, and what it takes is what ipaddr.js takes', () => {
    const text = fc.oneof(fc.string(), fc.stringMatching(/^[0-9a-f:.]{0,24}$/))
    fc.assert(
      fc.property(text, (s) => {
        if (Ipv4.parse(s) !== undefined) expect(ipaddr.IPv4.isValidFourPartDecimal(s)).to.equal(true)
        expect(Ipv6.parse(s) !== undefined).to.equal(
          s.includes(':') && !s.includes('%') && ipaddr.IPv6.isValid(s),
        )
      }),
      { numRuns: 2000 },
    )
  })
})

describe('Cidr, against ipaddr.js', () => {
  const oracle = (c: Cidr) => ipaddr.parseCIDR(Cidr.print(c))

  it('prints and parses the same', () => {
    fc.assert(
      fc.property(cidr, (c) => {
        expect(Cidr.parse(Cidr.print(c))).to.deep.equal(c)
      }),
    )
  })

  it('masks the same bits', () => {
    fc.assert(
      fc.property(cidr, (c) => {
        const [address, length] = oracle(Cidr.network(c))
        const text = Cidr.print(c)
        const expected =
          c.family === 4 ? ipaddr.IPv4.networkAddressFromCIDR(text) : ipaddr.IPv6.networkAddressFromCIDR(text)
        expect(address.toNormalizedString()).to.equal(expected.toNormalizedString())
        expect(length).to.equal(c.length)
      }),
    )
  })

  it('contains the same addresses', () => {
    fc.assert(
      fc.property(cidr, cidr, fc.boolean(), (a, b, near) => {
        const ip = near ? Cidr.network(a).address : b.address
        const other = ipaddr.parse(Cidr.print(Cidr.of(ip, 32)).split('/')[0] ?? '')
        const [network, length] = oracle(a)
        const expected = other.kind() === network.kind() && other.match(network, length)
        expect(Cidr.contains(a, ip)).to.equal(expected)
      }),
    )
  })

  it('overlaps exactly if one contains the other’s first address', () => {
    fc.assert(
      fc.property(cidr, cidr, (a, b) => {
        const expected =
          Cidr.contains(a, Cidr.network(b).address) || Cidr.contains(b, Cidr.network(a).address)
        expect(Cidr.overlaps(a, b)).to.equal(expected)
        expect(Cidr.overlaps(b, a)).to.equal(expected)
      }),
    )
  })
})

describe('Subnets', () => {
  it('are as many as fit, ascend, lie inside and know their own number', () => {
    const networks = fc.tuple(cidr, fc.integer({ min: 0, max: 8 })).map(([c, more]) => ({
      network: Cidr.network(c),
      length: Math.min(c.length + more, c.family === 4 ? 32 : 128),
    }))
    fc.assert(
      fc.property(networks, ({ network, length }) => {
        const subnets = Subnets.inside(network, length)
        const all = [...Subnets.each(subnets)]
        expect(all).to.have.lengthOf(2 ** (length - network.length))
        all.forEach((subnet, i) => {
          expect(Cidr.isNetwork(subnet) && Cidr.containsCidr(network, subnet)).to.equal(true)
          expect(subnets.overlapping(subnet)).to.deep.equal({ low: i, high: i })
        })
        expect(all.at(-1)).to.deep.equal(subnets.last)
        expect(subnets.overlapping(network)).to.deep.equal({ low: 0, high: all.length - 1 })
      }),
    )
  })
})

describe('Mac', () => {
  it('prints and parses the same', () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 2 ** 48 - 1 }), (bits) => {
        const mac = Mac.of(bits) ?? fail()
        expect(Mac.parse(Mac.print(mac))).to.equal(mac)
        expect(Mac.print(mac)).to.match(/^([0-9a-f]{2}:){5}[0-9a-f]{2}$/)
      }),
    )
  })

  it('makes local unicast addresses out of any entropy', () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 6, maxLength: 6 }), (octets) => {
        const mac = Mac.local([...octets])
        expect(Mac.isUnicast(mac)).to.equal(true)
        expect(parseInt(Mac.print(mac).slice(0, 2), 16) & 3).to.equal(2)
      }),
    )
  })
})
