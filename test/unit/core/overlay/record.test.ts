import { expect } from 'chai'
import { decodeRecord, encodeRecord, type LeaseRecord } from '../../../../src/core/overlay/record.ts'
import { printComplaint } from '../../../../src/core/parsed.ts'
import { flannelValue, ip4, ip6, mac, mustParse } from './fixtures.ts'

const flannelRecord: LeaseRecord = {
  publicIp: ip4('192.168.64.3'),
  publicIp6: undefined,
  backendType: 'vxlan',
  vni: 1,
  vtepMac: mac('c6:d2:32:6f:8f:44'),
  vtepMac6: undefined,
  node: undefined,
  leaving: false,
}

describe('encodeRecord', () => {
  it('writes what flannel writes, byte for byte', () => {
    expect(encodeRecord(flannelRecord)).to.equal(flannelValue)
  })

  it('writes a record without a backend as flannel does', () => {
    const bare = {
      ...flannelRecord,
      publicIp: ip4('1.2.3.4'),
      backendType: '',
      vni: undefined,
      vtepMac: undefined,
    }
    expect(encodeRecord(bare)).to.equal('{"PublicIP":"1.2.3.4","PublicIPv6":null}')
  })

  it('puts our fields behind flannel’s', () => {
    expect(encodeRecord({ ...flannelRecord, node: 'a', leaving: true })).to.equal(
      `${flannelValue.slice(0, -1)},"Node":"a","Leaving":true}`,
    )
    const dual = {
      ...flannelRecord,
      publicIp6: ip6('2001:db8::3'),
      vtepMac6: mac('02:00:00:00:00:06'),
      node: 'a',
    }
    expect(encodeRecord(dual)).to.equal(
      '{"PublicIP":"192.168.64.3","PublicIPv6":"2001:db8::3","BackendType":"vxlan",' +
        '"BackendData":{"VNI":1,"VtepMAC":"c6:d2:32:6f:8f:44"},' +
        '"BackendV6Data":{"VNI":1,"VtepMAC":"02:00:00:00:00:06"},"Node":"a"}',
    )
  })
})

describe('decodeRecord', () => {
  it('reads flannel’s record', () => {
    expect(mustParse(decodeRecord(flannelValue))).to.deep.equal(flannelRecord)
  })

  it('reads an old flannel’s record, which has no VNI', () => {
    const value =
      '{"PublicIP":"192.168.64.3","BackendType":"vxlan","BackendData":{"VtepMAC":"c6:d2:32:6f:8f:44"}}'
    expect(mustParse(decodeRecord(value))).to.deep.equal({ ...flannelRecord, vni: undefined })
  })

  it('reads a reservation', () => {
    const record = mustParse(decodeRecord('{"PublicIP":"1.2.3.4","PublicIPv6":null}'))
    expect(record).to.include({
      publicIp: ip4('1.2.3.4'),
      backendType: '',
      vtepMac: undefined,
      node: undefined,
    })
  })

  it('ignores the case of names, as Go does, and fields that it does not know', () => {
    const value = flannelValue
      .replace('"PublicIP"', '"x":[{}],"publicip"')
      .replace('BackendData', 'backenddata')
      .replace('VtepMAC', 'vtepmac')
    expect(mustParse(decodeRecord(value))).to.deep.equal(flannelRecord)
  })

  it('leaves the data of another backend alone', () => {
    for (const data of ['"text"', '[1]', '{"PublicKey":"x","Port":51820}', '{"VtepMAC":7,"VNI":"x"}']) {
      const record = decodeRecord(`{"PublicIP":"192.0.2.9","BackendType":"wireguard","BackendData":${data}}`)
      expect(mustParse(record)).to.include({ backendType: 'wireguard', vtepMac: undefined, vni: undefined })
    }
  })

  it('leaves an unreadable MAC to the validator', () => {
    expect(mustParse(decodeRecord(flannelValue.replace('c6:', 'zz:')))).to.include({
      vni: 1,
      vtepMac: undefined,
    })
  })

  it('is not fooled by prototype names', () => {
    const value = flannelValue.replace(
      '{"PublicIP"',
      '{"__proto__":{"Node":"evil","leaving":true},"PublicIP"',
    )
    expect(mustParse(decodeRecord(value))).to.deep.equal(flannelRecord)
  })

  const complaints: readonly (readonly [string, string])[] = [
    ['', 'value is "": must be JSON'],
    ['nonsense', 'value is "nonsense": must be JSON'],
    ['null', 'value is "null": must be a JSON object: {…}'],
    ['[]', 'value is "[]": must be a JSON object: {…}'],
    ['{}', 'PublicIP is missing: must be an IPv4 address'],
    ['{"PublicIP":null}', 'PublicIP is null: must be an IPv4 address'],
    ['{"PublicIP":"2001:db8::1"}', 'PublicIP is "2001:db8::1": must be an IPv4 address'],
    ['{"PublicIP":"192.0.2.9","PublicIPv6":"x"}', 'PublicIPv6 is "x": must be an IPv6 address or null'],
    ['{"PublicIP":"192.0.2.9","BackendType":1}', 'BackendType is 1: must be a string'],
    ['{"PublicIP":"192.0.2.9","Leaving":"yes"}', 'Leaving is "yes": must be true or false'],
    ['{"PublicIP":"192.0.2.9","Node":"\\u001b[2J"}', 'Node is "\\u001b[2J": must be 1 to 128 printable ASCII characters without spaces'],
    ['{"PublicIP":"192.0.2.9","BackendType":"vxlan","BackendData":[1]}', 'BackendData is [1]: must be like {"VNI":1,"VtepMAC":"02:00:00:00:00:01"}'],
  ] // prettier-ignore
  for (const [value, complaint] of complaints)
    it(`says of ${value === '' ? 'nothing' : value} that ${complaint}`, () => {
      const decoded = decodeRecord(value)
      expect(decoded.kind === 'invalid' && printComplaint(decoded)).to.equal(complaint)
    })

  it('refuses what is too long or too deep before it parses', () => {
    const long = decodeRecord(`{"x":"${'y'.repeat(5000)}"}`)
    expect(long).to.include({ kind: 'invalid', rule: 'must not be longer than 4096 characters' })
    const deep = decodeRecord(`{"x":${'['.repeat(2000)}${']'.repeat(2000)}}`)
    expect(deep).to.include({ kind: 'invalid', rule: 'must not nest deeper than 8 levels' })
    const quoted = decodeRecord(flannelValue.replace('{"P', `{"x":"${'[\\"{'.repeat(50)}","P`))
    expect(mustParse(quoted)).to.deep.equal(flannelRecord)
  })
})
