import { expect } from 'chai'
import fc from 'fast-check'
import { Cidr } from '../../../src/core/net/cidr.ts'
import { Ipv4 } from '../../../src/core/net/ipv4.ts'
import { Ipv6 } from '../../../src/core/net/ipv6.ts'
import { Mac } from '../../../src/core/net/mac.ts'
import { admit } from '../../../src/core/overlay/admission.ts'
import { parseNetworkConfig, printNetworkConfig } from '../../../src/core/overlay/network-config.ts'
import { decodeRecord, encodeRecord, type LeaseRecord } from '../../../src/core/overlay/record.ts'
import { parseSubnetKey, printSubnetKey } from '../../../src/core/overlay/subnet-key.ts'
import { must, mustParse, own, recordOf } from '../../unit/core/overlay/fixtures.ts'

const maybe = <T>(arbitrary: fc.Arbitrary<T>): fc.Arbitrary<T | undefined> =>
  fc.option(arbitrary, { nil: undefined })
const ipv4 = fc.integer({ min: 0, max: 2 ** 32 - 1 }).map(Ipv4.of)
const ipv6 = fc.bigInt({ min: 0n, max: 2n ** 128n - 1n }).map((bits) => must(Ipv6.of(bits)))
const macs = fc.integer({ min: 0, max: 2 ** 48 - 1 }).map((bits) => must(Mac.of(bits)))

const records: fc.Arbitrary<LeaseRecord> = fc
  .record({
    publicIp: ipv4,
    publicIp6: maybe(ipv6),
    backendType: fc.constantFrom('vxlan', 'host-gw', ''),
    vni: fc.integer({ min: 1, max: 2 ** 24 - 1 }),
    vtepMac: macs,
    vtepMac6: maybe(macs),
    node: maybe(fc.stringMatching(/^[\x21-\x7e]{1,40}$/)),
    leaving: fc.boolean(),
  })
  .map((record) =>
    record.backendType === 'vxlan'
      ? record
      : { ...record, vni: undefined, vtepMac: undefined, vtepMac6: undefined },
  )

describe('codecs', () => {
  it('a record reads back as it was written', () => {
    fc.assert(
      fc.property(records, (record) => {
        expect(mustParse(decodeRecord(encodeRecord(record)))).to.deep.equal(record)
      }),
    )
  })

  it('a key reads back as it was written', () => {
    const keys = fc.record({
      subnet: fc
        .tuple(ipv4, fc.integer({ min: 0, max: 31 }))
        .map(([ip, length]) => Cidr.network(Cidr.v4(ip, length))),
      subnet6: maybe(
        fc
          .tuple(ipv6, fc.integer({ min: 0, max: 127 }))
          .map(([address, length]) => Cidr.network({ family: 6 as const, address, length })),
      ),
    })
    fc.assert(
      fc.property(keys, (key) => {
        expect(parseSubnetKey(printSubnetKey(key))).to.deep.equal(key)
      }),
    )
  })

  it('no key and no value makes the validator throw', () => {
    const value = fc.oneof(
      fc.string(),
      fc.json(),
      fc
        .dictionary(
          fc.constantFrom(
            'PublicIP',
            'publicIP',
            'BackendType',
            'BackendData',
            'Node',
            'Leaving',
            '__proto__',
          ),
          fc.oneof(fc.jsonValue(), fc.constantFrom('vxlan', '192.0.2.9', { VtepMAC: '02:00:00:00:00:09' })),
        )
        .map((object) => JSON.stringify(object)),
    )
    const key = fc.oneof(fc.string(), fc.constant('10.5.9.0-24'), fc.stringMatching(/^[\d.&:-]{0,30}$/))
    fc.assert(
      fc.property(key, value, (k, v) => {
        const admission = admit(recordOf(9, { key: k, value: v }), own())
        if (admission.kind === 'admitted') expect(k).to.equal('10.5.9.0-24')
      }),
      { numRuns: 2000 },
    )
  })

  it('a network configuration that is printed parses to the same', () => {
    const config = fc
      .tuple(ipv4, fc.integer({ min: 4, max: 28 }), fc.nat(), fc.integer({ min: 1, max: 2 ** 24 - 1 }))
      .map(([ip, length, more, VNI]) => ({
        Network: Cidr.print(Cidr.v4(ip, length)),
        SubnetLen: length + 2 + (more % (29 - length)),
        Backend: { Type: 'vxlan', VNI },
      }))
    fc.assert(
      fc.property(config, (input) => {
        const parsed = parseNetworkConfig(JSON.stringify(input))
        fc.pre(parsed.kind === 'valid') // reserved networks are refused
        const range = must(mustParse(parsed).ipv4)
        expect(Cidr.containsCidr(range.network, range.subnetMin)).to.equal(true)
        expect(Cidr.containsCidr(range.network, range.subnetMax)).to.equal(true)
        expect(Cidr.isNetwork(range.subnetMin) && Cidr.isNetwork(range.subnetMax)).to.equal(true)
        const again = parseNetworkConfig(JSON.stringify(printNetworkConfig(mustParse(parsed))))
        expect(mustParse(again)).to.deep.equal(mustParse(parsed))
      }),
    )
  })
})
