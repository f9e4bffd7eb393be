import { expect } from 'chai'
import { dropsOverlay, isForwardChain, rulesIn } from '../../../../src/core/filter/forward.ts'
import type { NftChain, NftObject } from '../../../../src/core/filter/nftables.ts'
import { accept, counter, device, drop, forwardChain, ipv4, ipv6, jump, prefix, rule, state } from './fixtures.ts' // prettier-ignore

const drops = (rules: readonly NftObject[], chain: Partial<NftChain> = {}): boolean =>
  dropsOverlay(forwardChain(chain), ipv4, rulesIn(rules))

const both = [
  rule([prefix('saddr', '10.5.0.0/16'), counter, accept]),
  rule([prefix('daddr', '10.5.0.0/16'), counter, accept]),
]

describe('isForwardChain', () => {
  it('knows base chains that filter forwarded packets', () => {
    expect(isForwardChain(forwardChain())).to.equal(true)
    for (const other of [{ hook: 'input' }, { type: 'route' }, { family: 'bridge' }])
      expect(isForwardChain(forwardChain(other)), JSON.stringify(other)).to.equal(false)
    expect(isForwardChain({ family: 'ip', table: 'filter', name: 'FORWARD' })).to.equal(false)
  })
})

describe('dropsOverlay', () => {
  it('follows the policy of an empty chain', () => {
    expect(drops([])).to.equal(true)
    expect(drops([], { policy: 'accept' })).to.equal(false)
  })

  it('looks at chains of its own family only', () => {
    expect(drops([], { family: 'ip6' })).to.equal(false)
    expect(drops([], { family: 'inet' })).to.equal(true)
    expect(dropsOverlay(forwardChain({ family: 'ip6' }), ipv6, [])).to.equal(true)
  })

  it('is content with rules that accept both directions', () => {
    expect(drops(both)).to.equal(false)
    expect(drops([rule([prefix('saddr', '10.0.0.0/8'), accept])])).to.equal(false) // it covers both
    expect(drops(both.slice(1))).to.equal(false) // from a peer to us and back is inside the network
  })

  it('does not count rules about a part of the packets', () => {
    expect(drops([rule([prefix('saddr', '10.5.7.0/24'), accept])])).to.equal(true)
    expect(drops([rule([state('established', 'related'), accept])])).to.equal(true)
    expect(drops([rule([{ match: { op: '==', left: { meta: { key: 'l4proto' } }, right: 'tcp' } }, accept])])).to.equal(true) // prettier-ignore
    expect(drops([rule([{ xt: { type: 'match', name: 'conntrack' } }, accept])])).to.equal(true)
    expect(drops([rule([{ vmap: {} }]), rule([{ limit: {} }, accept])])).to.equal(true)
    expect(drops([rule([prefix('saddr', '10.5.7.0/24'), drop])], { policy: 'accept' })).to.equal(false)
  })

  it('counts a rule with a comment of iptables', () => {
    expect(drops([rule([{ xt: { type: 'match', name: 'comment' } }, counter, accept])])).to.equal(false)
  })

  it('finds drops before the accepts, and behind a policy that accepts', () => {
    expect(drops([rule([device('iifname', 'tweed.1'), drop]), ...both])).to.equal(true)
    expect(drops([...both, rule([drop])])).to.equal(false)
    expect(drops([rule([{ reject: null }])], { policy: 'accept' })).to.equal(true)
  })

  it('sees what docker leaves: out is accepted, in is not', () => {
    const docker = [
      rule([counter, jump('DOCKER-USER')]),
      rule([device('oifname', 'docker0'), state('established', 'related'), counter, accept]),
      rule([device('oifname', 'docker0'), counter, jump('DOCKER')]),
      rule([device('iifname', 'docker0'), device('oifname', 'docker0', '!='), counter, accept]),
      rule([counter, { return: null }], 'DOCKER-USER'),
    ]
    expect(drops(docker)).to.equal(true)
    expect(drops([rule([prefix('daddr', '10.5.0.0/16'), accept], 'DOCKER-USER'), ...docker])).to.equal(false)
  })

  it('takes a bridge that is named for the one of the containers, to accept but not to drop', () => {
    const out = rule([device('iifname', 'cni0'), accept])
    const into = rule([device('iifname', 'tweed.*'), device('oifname', 'cni0'), accept])
    expect(drops([out, into])).to.equal(false)
    expect(drops([out])).to.equal(true)
    expect(drops([rule([device('oifname', 'eth1'), drop])], { policy: 'accept' })).to.equal(false)
  })

  it('knows a device by its name, a set, and what it is not', () => {
    const out = rule([device('oifname', 'tweed.1'), accept])
    expect(drops([out, rule([device('iifname', { set: ['eth1', 'tweed.1'] }), accept])])).to.equal(false)
    expect(drops([out, rule([device('iifname', 'eth0', '!='), accept])])).to.equal(false)
    expect(drops([out, rule([device('iifname', 'tweed.1', '!='), accept])])).to.equal(true)
  })

  it('reads ranges, sets and negations of addresses', () => {
    const to = (right: unknown, op = '=='): NftObject =>
      rule([{ match: { op, left: { payload: { protocol: 'ip', field: 'daddr' } }, right } }, accept])
    expect(drops([to({ set: [{ range: ['10.5.0.0', '10.6.255.255'] }] })])).to.equal(false)
    expect(drops([to({ range: ['10.5.0.0', '10.5.1.255'] })])).to.equal(true)
    expect(drops([to({ prefix: { addr: '192.0.2.0', len: 24 } }, '!=')])).to.equal(false)
    expect(drops([to({ prefix: { addr: '10.5.7.0', len: 24 } }, '!=')])).to.equal(true)
    expect(drops([to('@set-of-somebody')])).to.equal(true)
  })

  it('comes back from a chain, but not from a goto', () => {
    const end = rule([counter], 'END')
    expect(drops([rule([jump('END')]), ...both, end])).to.equal(false)
    expect(drops([rule([{ goto: { target: 'END' } }]), ...both, end])).to.equal(true)
    expect(drops([rule([{ return: null }]), ...both])).to.equal(true)
  })

  it('ends in a loop of chains, which the kernel would refuse', () => {
    expect(drops([rule([jump('FORWARD')])])).to.equal(true)
  })
})
