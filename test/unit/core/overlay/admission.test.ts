import { expect } from 'chai'
import { admit } from '../../../../src/core/overlay/admission.ts'
import type { OwnContext } from '../../../../src/core/overlay/own.ts'
import type { StoredRecord } from '../../../../src/core/overlay/record.ts'
import {
  cidr4,
  cidr6,
  config,
  dualConfig,
  flannelValue,
  ip4,
  ip6,
  mac,
  own,
  recordOf,
  valueOf,
} from './fixtures.ts'

const outcome = (record: StoredRecord, context: OwnContext = own()): string => {
  const admission = admit(record, context)
  return admission.kind === 'rejected' ? admission.rejection.code : admission.kind
}
const mac9 = { BackendData: { VNI: 1, VtepMAC: '02:00:00:00:00:09' } }
const withMac = (text: unknown): string => valueOf(9, { BackendData: { VNI: 1, VtepMAC: text } })

describe('admit', () => {
  it('makes a peer of a record of ours', () => {
    expect(admit(recordOf(9), own())).to.deep.equal({
      kind: 'admitted',
      peer: {
        key: '10.5.9.0-24',
        ipv4: {
          subnet: cidr4('10.5.9.0/24'),
          publicIp: ip4('192.0.2.9'),
          vtepMac: mac('02:00:00:00:00:09'),
        },
        ipv6: undefined,
        node: 'node-9',
        leaving: false,
        modRevision: 109,
      },
    })
  })

  it('makes a peer of flannel’s record', () => {
    expect(outcome(recordOf(52, { value: flannelValue }))).to.equal('admitted')
  })

  it('carries what a dual-stack peer says, once our own network is dual', () => {
    const record = recordOf(9, {
      key: '10.5.9.0-24&fc00:0:0:9::-64',
      value: valueOf(9, {
        PublicIPv6: '2001:db8::9',
        BackendV6Data: { VNI: 1, VtepMAC: '02:00:00:00:06:09' },
      }),
    })
    const dual = admit(record, own({ config: dualConfig() }))
    expect(dual.kind === 'admitted' && dual.peer.ipv6).to.deep.equal({
      subnet: cidr6('fc00:0:0:9::/64'),
      publicIp: ip6('2001:db8::9'),
      vtepMac: mac('02:00:00:00:06:09'),
    })
    // A flannel that knows IPv4 only dies of such a key.
    const single = admit(record, own())
    expect(single.kind === 'admitted' && single.peer).to.include({ ipv6: undefined })
  })

  describe('knows its own', () => {
    for (const [what, value] of [
      ['by node id, whatever the address', valueOf(9, { Node: 'me' })],
      ['by address in a record of flannel', valueOf(1, { Node: undefined, ...mac9 })],
      ['by address in a reservation', '{"PublicIP":"192.0.2.1"}'],
    ] as const)
      it(what, () => {
        expect(outcome(recordOf(9, { value }))).to.equal('own')
      })

    it('even outside the network, where it has to be cleaned up', () => {
      expect(outcome(recordOf(1, { key: '10.9.9.0-24', value: valueOf(1, { Node: 'me' }) }))).to.equal('own')
    })
  })

  const cases: readonly (readonly [string, string, Partial<StoredRecord>])[] = [
    ['malformed-key', 'a key that is none', { key: 'x10.5.9.0-24' }],
    ['malformed-key', 'host bits in the key', { key: '10.5.9.1-24' }],
    ['oversized', 'a huge value', { value: `{"x":"${'y'.repeat(4096)}"}` }],
    ['malformed-value', 'a value that is no JSON', { value: '{' }],
    ['malformed-value', 'no public address', { value: '{"BackendType":"vxlan"}' }],
    ['malformed-value', 'deep nesting', { value: '['.repeat(500) }],
    ['other-backend', 'another backend', { value: valueOf(9, { BackendType: 'host-gw', BackendData: undefined }) }],
    ['other-backend', 'a backend in another case', { value: valueOf(9, { BackendType: 'VXLAN' }) }],
    ['other-backend', 'no backend', { value: '{"PublicIP":"192.0.2.9"}' }],
    ['outside-network', 'a default route', { key: '0.0.0.0-0' }],
    ['outside-network', 'another network', { key: '10.6.9.0-24' }],
    ['outside-network', 'more than the network', { key: '10.4.0.0-15' }],
    ['wrong-length', 'a longer subnet', { key: '10.5.9.0-25' }],
    ['wrong-length', 'a shorter subnet', { key: '10.5.0.0-17' }],
    ['own-subnet', 'our subnet with another host', { key: '10.5.1.0-24' }],
    ['own-address', 'our address with another host', { value: valueOf(9, { PublicIP: '192.0.2.1' }) }],
    ['own-mac', 'our MAC', { value: withMac('02:00:00:00:00:01') }],
    ['bad-mac', 'a group MAC', { value: withMac('01:00:5e:00:00:01') }],
    ['bad-mac', 'the broadcast MAC', { value: withMac('ff:ff:ff:ff:ff:ff') }],
    ['bad-mac', 'the zero MAC', { value: withMac('00:00:00:00:00:00') }],
    ['bad-mac', 'a MAC that is none', { value: withMac('02:00:00:00:00') }],
    ['bad-mac', 'no MAC', { value: valueOf(9, { BackendData: { VNI: 1 } }) }],
    ['bad-mac', 'a group MAC for IPv6', { value: valueOf(9, { BackendV6Data: { VtepMAC: '33:33:00:00:00:01' } }) }],
    ['bad-public-ip', 'no address', { value: valueOf(9, { PublicIP: '0.0.0.0' }) }],
    ['bad-public-ip', 'a loopback address', { value: valueOf(9, { PublicIP: '127.0.0.1' }) }],
    ['bad-public-ip', 'a multicast address', { value: valueOf(9, { PublicIP: '239.1.1.1' }) }],
    ['bad-public-ip', 'the broadcast address', { value: valueOf(9, { PublicIP: '255.255.255.255' }) }],
    ['bad-public-ip', 'an address of the overlay', { value: valueOf(9, { PublicIP: '10.5.77.1' }) }],
    ['bad-public-ip', 'a multicast IPv6 address', { value: valueOf(9, { PublicIPv6: 'ff02::1' }) }],
    ['other-vni', 'another VNI', { value: valueOf(9, { BackendData: { VNI: 2, VtepMAC: '02:00:00:00:00:09' } }) }],
  ] // prettier-ignore
  for (const [code, what, more] of cases)
    it(`rejects ${what} as ${code}`, () => {
      expect(outcome(recordOf(9, more))).to.equal(code)
    })

  it('takes a record of old flannel, which has no VNI', () => {
    const value = valueOf(9, { BackendData: { VtepMAC: '02:00:00:00:00:09' } })
    expect(outcome(recordOf(9, { value }))).to.equal('admitted')
  })

  it('takes a reserved subnet outside of SubnetMin and SubnetMax', () => {
    const narrow = own({ config: config({ SubnetMin: '10.5.1.0', SubnetMax: '10.5.4.0' }) })
    expect(outcome(recordOf(9), narrow)).to.equal('admitted')
  })

  it('says the rule with the value', () => {
    const admission = admit(recordOf(9, { key: '10.6.9.0-24' }), own())
    expect(admission).to.deep.equal({
      kind: 'rejected',
      rejection: {
        key: '10.6.9.0-24',
        code: 'outside-network',
        rule: '10.6.9.0/24 must be inside 10.5.0.0/16',
      },
    })
  })

  it('looks for a subnet of our own only once we hold one', () => {
    expect(outcome(recordOf(9, { key: '10.5.1.0-24' }), own({ lease: undefined }))).to.equal('admitted')
  })
})
