import { expect } from 'chai'
import { previousSubnets, printSubnetEnv } from '../../../../src/core/overlay/subnet-env.ts'
import { cidr4, cidr6, config, dualConfig } from './fixtures.ts'

const written = { mtuBytes: 1450, masquerade: false }

describe('printSubnetEnv', () => {
  it('writes what flannel writes, with the address that the bridge takes', () => {
    expect(printSubnetEnv(config(), { subnet: cidr4('10.5.72.0/24'), subnet6: undefined }, written)).to.equal(
      'FLANNEL_NETWORK=10.5.0.0/16\nFLANNEL_SUBNET=10.5.72.1/24\nFLANNEL_MTU=1450\nFLANNEL_IPMASQ=false\n',
    )
  })
})

describe('printSubnetEnv of two families', () => {
  it('writes both, in the order of flannel', () => {
    const subnets = { subnet: cidr4('10.5.72.0/24'), subnet6: cidr6('fc00:0:0:7::/64') }
    expect(printSubnetEnv(dualConfig(), subnets, { mtuBytes: 1430, masquerade: false })).to.equal(
      'FLANNEL_NETWORK=10.5.0.0/16\nFLANNEL_SUBNET=10.5.72.1/24\nFLANNEL_IPV6_NETWORK=fc00::/48\n' +
        'FLANNEL_IPV6_SUBNET=fc00:0:0:7::1/64\nFLANNEL_MTU=1430\nFLANNEL_IPMASQ=false\n',
    )
  })
})

describe('printSubnetEnv of a host that masquerades', () => {
  it('says so, for the CNI plugin and docker to leave it alone', () => {
    const text = printSubnetEnv(config(), { subnet: cidr4('10.5.72.0/24'), subnet6: undefined }, { ...written, masquerade: true }) // prettier-ignore
    expect(text).to.match(/^FLANNEL_IPMASQ=true$/m)
  })
})

describe('previousSubnets', () => {
  const ofIpv4 = { subnet: cidr4('10.5.72.0/24'), subnet6: undefined }
  const both = { ...ofIpv4, subnet6: cidr6('fc00:0:0:7::/64') }

  it('reads back what was written', () => {
    expect(previousSubnets(printSubnetEnv(config(), ofIpv4, written))).to.deep.equal(ofIpv4)
    expect(previousSubnets(printSubnetEnv(dualConfig(), both, written))).to.deep.equal(both)
  })

  it('reads what a dual stack flannel wrote, in whatever order', () => {
    const text = 'FLANNEL_IPV6_SUBNET=fc00:0:0:7::1/64\nFLANNEL_MTU=1450\nFLANNEL_SUBNET=10.5.72.1/24\n'
    expect(previousSubnets(text)).to.deep.equal(both)
  })

  it('reads IPv6 alone', () => {
    expect(previousSubnets('FLANNEL_IPV6_SUBNET=fc00:0:0:7::1/64\n')).to.deep.equal({
      ...both,
      subnet: undefined,
    })
  })

  it('reads nothing out of anything else', () => {
    for (const text of ['', 'FLANNEL_SUBNET=', '#FLANNEL_SUBNET=10.5.9.1/24', '\0\0'])
      expect(previousSubnets(text), JSON.stringify(text)).to.equal(undefined)
    const swapped = previousSubnets('FLANNEL_SUBNET=fc00::1/64\n')
    expect(swapped?.subnet).to.equal(undefined)
  })
})
