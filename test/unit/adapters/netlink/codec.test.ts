import { expect } from 'chai'
import fc from 'fast-check'
import type { FdbEntry, Neighbour, Op, Route, Row } from '../../../../src/core/kernel/rows.ts'
import { rowId } from '../../../../src/core/kernel/rows.ts'
import { Cidr } from '../../../../src/core/net/cidr.ts'
import { Ip } from '../../../../src/core/net/ip.ts'
import { Ipv4 } from '../../../../src/core/net/ipv4.ts'
import { Ipv6 } from '../../../../src/core/net/ipv6.ts'
import { Mac } from '../../../../src/core/net/mac.ts'
import { NeighMessage, neighSighting, readNeigh, readRoute } from '../../../../src/adapters/netlink/decode.ts'
import {
  MAX_OP_WORDS,
  ROUTE_PROTOCOL,
  encodeOp,
  outgoing,
  requestAck,
} from '../../../../src/adapters/netlink/encode.ts'

const some = <T>(value: T | undefined): T => {
  if (value === undefined) throw new Error('a literal of this test does not parse')
  return value
}
const ip = (text: string): Ip => some(Ip.parse(text))
const mac = some(Mac.parse('02:00:00:00:00:02'))
const cidr = (text: string): Cidr => some(Cidr.parse(text))

const fdb: FdbEntry = { kind: 'fdb', link: 5, mac, vtep: ip('192.0.2.2') }
const neighbour: Neighbour = { kind: 'neighbour', link: 5, ip: ip('10.5.2.0'), mac, state: 'permanent' }
const route: Route = { kind: 'route', link: 5, dst: cidr('10.5.2.0/24'), via: ip('10.5.2.0') }

const encoded = (op: Op, seq = 7): string => {
  const { bytes, words } = outgoing(1)
  bytes.fill(0xee)
  return bytes.toString('hex', 0, encodeOp(words, 0, op, { seq }) * 4).replace(/.{8}(?=.)/g, '$& ')
}

describe('encodeOp', () => {
  it('adds an FDB entry as bridge fdb replace … self permanent does', () => {
    expect(encoded({ verb: 'add', row: fdb })).to.equal(
      '30000000 1c000105 07000000 00000000 ' + // RTM_NEWNEIGH, REQUEST | CREATE | REPLACE
        '07000000 05000000 80000200 ' + // AF_BRIDGE, permanent, NTF_SELF
        '0a000200 02000000 00020000 08000100 c0000202',
    )
  })

  it('adds a neighbour in either state', () => {
    const rest = '08000100 0a050200 0a000200 02000000 00020000'
    expect(encoded({ verb: 'add', row: neighbour })).to.equal(
      `30000000 1c000105 07000000 00000000 02000000 05000000 80000000 ${rest}`,
    )
    expect(encoded({ verb: 'add', row: { ...neighbour, state: 'noarp' } })).to.equal(
      `30000000 1c000105 07000000 00000000 02000000 05000000 40000000 ${rest}`,
    )
  })

  it('adds a route only where none is, as ip route add … onlink proto 84', () => {
    expect(encoded({ verb: 'add', row: route })).to.equal(
      '34000000 18000106 07000000 00000000 ' + // RTM_NEWROUTE, REQUEST | CREATE | EXCL
        '02180000 fe540001 04000000 ' + // /24, main, 84, universe, unicast, onlink
        '08000100 0a050200 08000400 05000000 08000500 0a050200',
    )
  })

  it('replaces a route when told that it is ours', () => {
    expect(encoded({ verb: 'add', row: route, replace: true })).to.match(/^34000000 18000105 /)
  })

  it('gives a route without next hop the scope of the link', () => {
    expect(encoded({ verb: 'add', row: { ...route, via: undefined } })).to.equal(
      '2c000000 18000106 07000000 00000000 02180000 fe54fd01 00000000 08000100 0a050200 08000400 05000000',
    )
  })

  it('deletes a route with our protocol, so that nothing else matches', () => {
    expect(encoded({ verb: 'remove', row: { ...route, via: undefined } })).to.equal(
      '2c000000 19000100 07000000 00000000 02180000 fe54ff00 00000000 08000100 0a050200 08000400 05000000',
    )
    expect(ROUTE_PROTOCOL).to.equal(84)
  })

  it('deletes a tunnel route without naming its device, which one with a nexthop object has none of', () => {
    expect(encoded({ verb: 'remove', row: route })).to.equal(
      '24000000 19000100 07000000 00000000 02180000 fe54ff00 00000000 08000100 0a050200',
    )
  })

  it('writes IPv6 as AF_INET6 with sixteen bytes', () => {
    const row: Route = { ...route, dst: cidr('2001:db8:2::/64'), via: ip('2001:db8:2::') }
    expect(encoded({ verb: 'add', row })).to.equal(
      '4c000000 18000106 07000000 00000000 0a400000 fe540001 04000000 ' +
        '14000100 20010db8 00020000 00000000 00000000 08000400 05000000 ' +
        '14000500 20010db8 00020000 00000000 00000000',
    )
  })
})

describe('requestAck', () => {
  it('adds NLM_F_ACK to the flags and touches nothing else', () => {
    const { bytes: b, words } = outgoing(1)
    const length = encodeOp(words, 0, { verb: 'add', row: fdb }, { seq: 1 }) * 4
    const before = Buffer.from(b)
    requestAck(words, 0)
    expect(b.readUInt16LE(6)).to.equal(before.readUInt16LE(6) | 4)
    b.writeUInt16LE(before.readUInt16LE(6), 6)
    expect(b.subarray(0, length).equals(before.subarray(0, length))).to.equal(true)
  })
})

const read = (hex: string): NeighMessage => {
  const b = Buffer.from(hex.replaceAll(' ', ''), 'hex')
  const m = new NeighMessage()
  readNeigh(b, 0, b.length, m)
  return m
}
const header = '40000000 1e000100 00000000 00000000'

describe('readNeigh', () => {
  it('reads the question of the ARP layer, recorded on Linux 6.18', () => {
    const m = read(
      `${header} 02000000 05000000 01000001 08000100 0af40202 08000400 03000000 ` +
        '14000300 00000000 00000000 00000000 00000000',
    )
    expect(m).to.include({ family: 2, link: 5, state: 1, dst: ip('10.244.2.2'), mac: undefined })
  })

  it('forgets the message before', () => {
    const m = new NeighMessage()
    for (const hex of [
      `${header} 07000000 05000000 80000200 0a000200 02000000 00020000 08000100 c0000202 06000600 12340000`,
      `${header} 02000000 06000000 01000001`,
    ]) {
      const b = Buffer.from(hex.replaceAll(' ', ''), 'hex')
      readNeigh(b, 0, b.length, m)
    }
    expect(m).to.deep.equal(Object.assign(new NeighMessage(), { family: 2, link: 6, state: 1 }))
  })

  it('stops at an attribute that is longer than the message', () => {
    expect(read(`${header} 02000000 05000000 01000001 ff000100 0af40202`).dst).to.equal(undefined)
    expect(read(`${header} 02000000 05000000 01000001 00000100 0af40202`).dst).to.equal(undefined)
  })
})

describe('neighSighting', () => {
  const neigh = (state: string, mac = '02000000 00020000', address = '0a050200'): NeighMessage =>
    read(`${header} 02000000 05000000 ${state}0001 08000100 ${address} 0a000200 ${mac}`)

  it('takes permanent and noarp for rows, every other state for their absence', () => {
    expect(neighSighting(neigh('8000'))).to.deep.equal({ row: neighbour, standing: true })
    expect(neighSighting(neigh('4000'))).to.deep.equal({
      row: { ...neighbour, state: 'noarp' },
      standing: true,
    })
    for (const state of ['0100', '0200', '0400', '1000', '2000'])
      expect(neighSighting(neigh(state))?.standing, state).to.equal(false)
  })

  it("passes over the kernel's own rows for groups", () => {
    expect(neighSighting(neigh('4000', '01005e00 00160000', 'e0000016'))).to.equal(undefined)
    expect(neighSighting(neigh('4000', 'ffffffff ffff0000', '0a05ffff'))).to.equal(undefined)
  })

  it('takes an FDB entry with a way of its own for the absence of ours', () => {
    const entry = '07000000 05000000 80000200 0a000200 02000000 00020000 08000100 c0000202'
    expect(neighSighting(read(`${header} ${entry}`))).to.deep.equal({ row: fdb, standing: true })
    expect(neighSighting(read(`${header} ${entry} 06000600 12340000`))?.standing).to.equal(false)
  })
})

const anyIp = fc.oneof(
  // below 224.0.0.0 and outside ff00::/8: groups are no rows
  fc.integer({ min: 1, max: 0xdfff_ffff }).map((bits): Ip => Ipv4.of(bits)),
  fc.bigInt({ min: 1n, max: (0xffn << 120n) - 1n }).map((bits): Ip => some(Ipv6.of(bits))),
)
const anyMac = fc.array(fc.nat(255), { minLength: 6, maxLength: 6 }).map((octets) => Mac.local(octets))
const link = fc.integer({ min: 1, max: 0x7fff_ffff })
const anyRow: fc.Arbitrary<Row> = fc.oneof(
  fc.record({ kind: fc.constant('fdb' as const), link, mac: anyMac, vtep: anyIp }),
  fc.record({
    kind: fc.constant('neighbour' as const),
    link,
    ip: anyIp,
    mac: anyMac,
    state: fc.constantFrom('permanent' as const, 'noarp' as const),
  }),
  fc
    .record({ link, ip: anyIp, length: fc.nat(128), direct: fc.boolean() })
    .map(({ link: on, ip: via, length, direct }): Route => {
      const dst = Cidr.network(Cidr.of(via, Ip.family(via) === 4 ? length % 33 : length))
      return { kind: 'route', link: on, dst, via: direct ? undefined : via }
    }),
)

const decoded = (b: Buffer, start: number, end: number): Row | undefined => {
  if (b.readUInt16LE(start + 4) < 28) return readRoute(b, start, end)?.row
  const m = new NeighMessage()
  readNeigh(b, start, end, m)
  return neighSighting(m)?.row
}

describe('encode and decode', () => {
  it('give every row back, wherever in the buffer it stands', () => {
    fc.assert(
      fc.property(anyRow, fc.nat(40), (row, at) => {
        const { bytes, words } = outgoing(4)
        bytes.fill(0xee)
        const end = encodeOp(words, at, { verb: 'add', row }, { seq: 1 })
        expect(end - at).to.be.at.most(MAX_OP_WORDS)
        expect(bytes.subarray(end * 4).every((octet) => octet === 0xee)).to.equal(true)
        expect(decoded(bytes, at * 4, end * 4), rowId(row)).to.deep.equal(row)
      }),
    )
  })

  it('never read outside a message, whatever its bytes are', () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 16, maxLength: 120 }), (bytes) => {
        const b = Buffer.from(bytes)
        b.writeUInt16LE(28, 4)
        expect(() => decoded(b, 0, b.length)).not.to.throw()
        b.writeUInt16LE(24, 4)
        expect(() => decoded(b, 0, b.length)).not.to.throw()
      }),
    )
  })
})
