import { expect } from 'chai'
import { judgeConfigChange } from '../../../../src/core/overlay/config-change.ts'
import { cidr4, cidr6, config, dualConfig } from './fixtures.ts'

const lease = { subnet: cidr4('10.5.1.0/24'), subnet6: undefined }
const dualLease = { ...lease, subnet6: cidr6('fc00:0:0:1::/64') }
const vxlan = (more: object) => ({ Backend: { Type: 'vxlan', ...more } })
const judge = (change: Readonly<Record<string, unknown>>, held: typeof lease | undefined = lease) =>
  judgeConfigChange(config(), config(change), held)

describe('judgeConfigChange', () => {
  it('sees no change where only the spelling differs', () => {
    expect(judge({ SubnetLen: 24 })).to.deep.equal({ kind: 'same' })
    expect(judge(vxlan({ VNI: 1, Port: 8472 }))).to.deep.equal({ kind: 'same' })
    expect(judgeConfigChange(dualConfig(), dualConfig(), lease)).to.deep.equal({ kind: 'same' })
  })

  const safe: readonly (readonly [string, Readonly<Record<string, unknown>>])[] = [
    ['a wider network', { Network: '10.4.0.0/14' }],
    ['a narrower network that still has the own subnet', { Network: '10.5.0.0/20' }],
    ['other bounds of allocation, also without the own subnet', { SubnetMin: '10.5.100.0' }],
    ['another MTU', vxlan({ MTU: 1400 })],
    ['learning', vxlan({ Learning: true })],
    ['direct routing', vxlan({ DirectRouting: true })],
  ]
  for (const [what, change] of safe)
    it(`adopts ${what}`, () => expect(judge(change)).to.deep.equal({ kind: 'adopt' }))

  const unsafe: readonly (readonly [string, Readonly<Record<string, unknown>>])[] = [
    ['Network', { Network: '10.6.0.0/16' }],
    ['SubnetLen', { SubnetLen: 25 }],
    ['EnableIPv6', { EnableIPv6: true, IPv6Network: 'fc00::/48' }],
    ['Backend.Type', { Backend: { Type: 'host-gw' } }],
    ['Backend.VNI', vxlan({ VNI: 2 })],
    ['Backend.Port', vxlan({ Port: 4789 })],
    ['Backend.GBP', vxlan({ GBP: true })],
  ]
  for (const [field, change] of unsafe)
    it(`wants a renumbering for another ${field} while a subnet is held, and adopts it before`, () => {
      expect(judge(change)).to.deep.equal({ kind: 'renumber', fields: [field] })
      expect(judgeConfigChange(config(), config(change), undefined)).to.deep.equal({ kind: 'adopt' })
    })

  it('wants a renumbering for a family less while its subnet is held', () => {
    const change = judgeConfigChange(dualConfig(), dualConfig({ EnableIPv4: false }), dualLease)
    expect(change).to.deep.equal({ kind: 'renumber', fields: ['EnableIPv4'] })
    expect(judgeConfigChange(dualConfig(), config(), dualLease)).to.deep.equal({
      kind: 'renumber',
      fields: ['EnableIPv6'],
    })
  })

  it('judges the IPv6 range as that of IPv4', () => {
    const to = (change: Readonly<Record<string, unknown>>) =>
      judgeConfigChange(dualConfig(), dualConfig(change), dualLease)
    expect(to({ IPv6Network: 'fc00::/47' })).to.deep.equal({ kind: 'adopt' })
    expect(to({ IPv6Network: 'fc01::/48', IPv6SubnetLen: 80 })).to.deep.equal({
      kind: 'renumber',
      fields: ['IPv6Network', 'IPv6SubnetLen'],
    })
  })

  it('names every field', () => {
    expect(judge({ Network: '10.6.0.0/16', SubnetLen: 26, ...vxlan({ VNI: 2, Port: 4789 }) })).to.deep.equal({
      kind: 'renumber',
      fields: ['Network', 'SubnetLen', 'Backend.VNI', 'Backend.Port'],
    })
  })
})
