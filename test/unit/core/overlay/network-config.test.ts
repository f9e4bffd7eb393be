import { expect } from 'chai'
import { parseNetworkConfig, printNetworkConfig } from '../../../../src/core/overlay/network-config.ts'
import { printComplaint } from '../../../../src/core/parsed.ts'
import { mustParse } from './fixtures.ts'

const vxlan = { Type: 'vxlan' }
const printed = (config: object): Record<string, unknown> =>
  printNetworkConfig(mustParse(parseNetworkConfig(JSON.stringify(config))))
const complaint = (text: string): string => {
  const parsed = parseNetworkConfig(text)
  return parsed.kind === 'invalid' ? printComplaint(parsed) : 'no complaint'
}

describe('parseNetworkConfig', () => {
  it('fills in flannel’s defaults', () => {
    expect(printed({ Network: '10.5.0.0/16', Backend: vxlan })).to.deep.equal({
      EnableIPv4: true,
      EnableIPv6: false,
      Network: '10.5.0.0/16',
      SubnetLen: 24,
      SubnetMin: '10.5.1.0',
      SubnetMax: '10.5.255.0',
      Backend: { Type: 'vxlan', VNI: 1, Port: 8472, GBP: false, Learning: false, DirectRouting: false },
    })
  })

  // Flannel's results for the same input.
  for (const [network, length, min, max] of [
    ['10.0.0.0/8', 24, '10.0.1.0', '10.255.255.0'],
    ['10.5.0.0/22', 24, '10.5.1.0', '10.5.3.0'],
    ['10.5.0.0/23', 25, '10.5.0.128', '10.5.1.128'],
    ['10.5.0.0/28', 30, '10.5.0.4', '10.5.0.12'],
    ['10.5.7.9/16', 24, '10.5.1.0', '10.5.255.0'],
  ] as const)
    it(`gives ${network} subnets of /${String(length)} from ${min} to ${max}`, () => {
      const config = printed({ Network: network, Backend: vxlan })
      expect(config).to.include({ SubnetLen: length, SubnetMin: min, SubnetMax: max })
    })

  for (const [network, length, min, max] of [
    ['fc00::/48', 64, 'fc00:0:0:1::', 'fc00:0:0:ffff::'],
    ['fc00::/62', 64, 'fc00:0:0:1::', 'fc00:0:0:3::'],
    ['fc00::/63', 65, 'fc00::8000:0:0:0', 'fc00:0:0:1:8000::'],
    ['fc00::/124', 126, 'fc00::4', 'fc00::c'],
    ['fc00::/8', 64, 'fc00:0:0:1::', 'fcff:ffff:ffff:ffff::'],
  ] as const)
    it(`gives ${network} subnets of /${String(length)} from ${min} to ${max}`, () => {
      const config = printed({ EnableIPv4: false, EnableIPv6: true, IPv6Network: network, Backend: vxlan })
      expect(config).to.include({
        IPv6SubnetLen: length,
        IPv6SubnetMin: min,
        IPv6SubnetMax: max,
      })
      expect(config).not.to.have.property('Network')
    })

  it('takes what is given, whatever the case of the names, and ignores the rest', () => {
    const text = `{"network":"10.5.0.0/16","SUBNETLEN":26,"subnetMin":"10.5.4.0","SubnetMax":"10.5.7.192",
      "enablenftables":true,"Comment":"x",
      "backend":{"type":"VXLAN","vni":7,"port":4789,"mtu":1400,"gbp":true,"learning":true,"directRouting":true}}`
    expect(printNetworkConfig(mustParse(parseNetworkConfig(text)))).to.deep.equal({
      EnableIPv4: true,
      EnableIPv6: false,
      Network: '10.5.0.0/16',
      SubnetLen: 26,
      SubnetMin: '10.5.4.0',
      SubnetMax: '10.5.7.192',
      Backend: {
        Type: 'vxlan',
        VNI: 7,
        Port: 4789,
        MTU: 1400,
        GBP: true,
        Learning: true,
        DirectRouting: true,
      },
    })
  })

  it('takes zero for absent where Go can’t tell them apart', () => {
    const config = {
      Network: '10.5.0.0/16',
      SubnetLen: 0,
      SubnetMin: '0.0.0.0',
      Backend: { ...vxlan, Port: 0, MTU: 0 },
    }
    expect(printed(config)).to.deep.equal(printed({ Network: '10.5.0.0/16', Backend: vxlan }))
  })

  it('knows host-gw', () => {
    const config = mustParse(parseNetworkConfig('{"Network":"10.5.0.0/16","Backend":{"Type":"host-gw"}}'))
    expect(config.backend).to.deep.equal({ kind: 'host-gw' })
    expect(printNetworkConfig(config)).to.have.property('Backend').deep.equal({ Type: 'host-gw' })
  })

  const good = { Network: '10.5.0.0/16', Backend: vxlan }
  const dual = { ...good, EnableIPv6: true, IPv6Network: 'fc00::/48' }
  const complaints: readonly (readonly [object, string])[] = [
    [{ Backend: vxlan }, 'Network is missing: must be a prefix like "10.5.0.0/16"'],
    [{ ...good, Network: 7 }, 'Network is 7: must be a string'],
    [{ ...good, Network: '10.5.0.0' }, 'Network is "10.5.0.0": must be an IPv4 prefix like "10.5.0.0/16"'],
    [{ ...good, Network: 'fc00::/48' }, 'Network is "fc00::/48": must be an IPv4 prefix like "10.5.0.0/16"'],
    [{ ...good, Network: '224.0.0.0/16' }, 'Network is "224.0.0.0/16": must not overlap 224.0.0.0/3, which no host may have'],
    [{ ...good, Network: '10.5.0.0/29' }, 'Network is "10.5.0.0/29": must be a /28 or larger, so that four subnets fit in'],
    [{ ...good, SubnetLen: 17 }, 'SubnetLen is 17: must be a whole number from 18 to 30'],
    [{ ...good, SubnetLen: 31 }, 'SubnetLen is 31: must be a whole number from 18 to 30'],
    [{ ...good, SubnetLen: '24' }, 'SubnetLen is "24": must be a whole number from 18 to 30'],
    [{ ...good, SubnetLen: 24.5 }, 'SubnetLen is 24.5: must be a whole number from 18 to 30'],
    [{ ...good, SubnetMin: '10.6.0.0' }, 'SubnetMin is "10.6.0.0": must be inside Network 10.5.0.0/16'],
    [{ ...good, SubnetMin: '10.5.1' }, 'SubnetMin is "10.5.1": must be an IPv4 address'],
    [{ ...good, SubnetMax: '10.5.9.1' }, 'SubnetMax is "10.5.9.1": must be the first address of a /24, such as 10.5.9.0'],
    [{ ...good, SubnetMin: '10.5.9.0', SubnetMax: '10.5.8.0' }, 'SubnetMin is "10.5.9.0": must not be above SubnetMax 10.5.8.0'],
    [{ ...good, EnableIPv4: false }, 'EnableIPv4 is false: must be true unless EnableIPv6 is true'],
    [{ ...good, EnableIPv6: 1 }, 'EnableIPv6 is 1: must be true or false'],
    [{ ...good, EnableIPv6: true }, 'IPv6Network is missing: must be a prefix like "fc00::/48"'],
    [{ ...dual, IPv6SubnetLen: 127 }, 'IPv6SubnetLen is 127: must be a whole number from 50 to 126'],
    [{ ...dual, IPv6SubnetMin: 'fd00::' }, 'IPv6SubnetMin is "fd00::": must be inside IPv6Network fc00::/48'],
    [{ ...dual, IPv6SubnetMax: 'fc00::1' }, 'IPv6SubnetMax is "fc00::1": must be the first address of a /64, such as fc00::'],
    [{ Network: '10.5.0.0/16' }, 'Backend is missing: flannel then takes udp; set Backend.Type to "vxlan"'],
    [{ ...good, Backend: 'vxlan' }, 'Backend is "vxlan": must be an object like {"Type":"vxlan"}'],
    [{ ...good, Backend: {} }, 'Backend.Type is missing: set it to "vxlan"; supported are "vxlan" and "host-gw"'],
    [{ ...good, Backend: { Type: 'wireguard' } }, 'Backend.Type is "wireguard": supported are "vxlan" and "host-gw"'],
    [{ ...good, Backend: { ...vxlan, VNI: 0 } }, 'Backend.VNI is 0: must be a whole number from 1 to 16777215'],
    [{ ...good, Backend: { ...vxlan, VNI: 2 ** 24 } }, 'Backend.VNI is 16777216: must be a whole number from 1 to 16777215'],
    [{ ...good, Backend: { ...vxlan, Port: 65536 } }, 'Backend.Port is 65536: must be a whole number from 1 to 65535'],
    [{ ...good, Backend: { ...vxlan, MTU: 67 } }, 'Backend.MTU is 67: must be a whole number from 118 to 65535'],
    [{ ...good, Backend: { ...vxlan, DirectRouting: 'on' } }, 'Backend.DirectRouting is "on": must be true or false'],
  ] // prettier-ignore
  for (const [config, expected] of complaints)
    it(`says that ${expected}`, () => {
      expect(complaint(JSON.stringify(config))).to.equal(expected)
    })

  it('says what is wrong with the whole text', () => {
    expect(complaint('{"Network":')).to.equal('config is "{\\"Network\\":": must be JSON')
    expect(complaint(`{"x":"${'y'.repeat(70_000)}"}`)).to.match(/must not be longer than 65536 characters$/)
  })
})

describe('printNetworkConfig', () => {
  it('prints what parses to the same', () => {
    const text =
      '{"Network":"10.5.0.0/16","EnableIPv6":true,"IPv6Network":"fc00::/48","Backend":{"Type":"vxlan","MTU":1400}}'
    const config = mustParse(parseNetworkConfig(text))
    expect(mustParse(parseNetworkConfig(JSON.stringify(printNetworkConfig(config))))).to.deep.equal(config)
  })
})
