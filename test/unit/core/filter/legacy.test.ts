import { expect } from 'chai'
import { legacyDropping, parseLegacy } from '../../../../src/core/filter/legacy.ts'
import { Cidr } from '../../../../src/core/net/cidr.ts'

const cidr = (text: string): Cidr => {
  const parsed = Cidr.parse(text)
  if (!parsed) throw new Error(text)
  return parsed
}
const ipv4 = { network: cidr('10.5.0.0/16'), subnet: cidr('10.5.1.0/24'), device: 'tweed.1' }
const ipv6 = { network: cidr('fc00::/48'), subnet: cidr('fc00:0:0:1::/64'), device: 'tweed-v6.1' }

const drops = (...rules: readonly string[]): boolean => {
  const printed = ['-P INPUT DROP', '-P FORWARD ACCEPT', '-P OUTPUT ACCEPT', ...rules].join('\n')
  return legacyDropping(parseLegacy('ip', `${printed}\n`), [ipv4, ipv6]).length > 0
}
const closed = '-P FORWARD DROP'

describe('legacyDropping', () => {
  const cases: readonly (readonly [what: string, rules: readonly string[], drops: boolean])[] = [
    ['no rules', [], false],
    ['a policy', [closed], true],
    ['a policy behind rules for the overlay', [closed, '-A FORWARD -s 10.5.0.0/16 -j ACCEPT', '-A FORWARD -d 10.5.0.0/16 -j ACCEPT'], false],
    ['a policy behind rules for half of it', [closed, '-A FORWARD -s 10.5.0.0/17 -j ACCEPT'], true],
    ['a policy behind one for answers', [closed, '-A FORWARD -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT'], true],
    ['a policy behind one for new connections too', [closed, '-A FORWARD -m state --state NEW,ESTABLISHED -j ACCEPT'], false],
    ['a policy behind one for a port', [closed, '-A FORWARD -p tcp -m tcp --dport 80 -j ACCEPT'], true],
    ['a rule that rejects', ['-A FORWARD -j REJECT --reject-with icmp-host-prohibited'], true],
    ['a rule that drops a port', ['-A FORWARD -p udp -m udp --dport 53 -j DROP'], false],
    ['a rule that drops who is not in the overlay', ['-A FORWARD ! -s 10.5.0.0/16 -j DROP'], false],
    ['a rule that drops what comes by the tunnel', ['-A FORWARD -i tweed+ -j DROP'], true],
    ['a rule that drops what comes by another device', ['-A FORWARD -i eth0 -j DROP'], false],
    ['a rule with a comment of words that look like others', ['-A FORWARD -m comment --comment "a -j ACCEPT \\"b" -j DROP'], true],
    ['a chain of somebody', ['-N MINE', '-A FORWARD -j MINE', '-A MINE -d 10.0.0.0/8 -j DROP'], true],
    ['a chain that returns before', ['-N MINE', '-A FORWARD -j MINE', '-A MINE -j RETURN', '-A MINE -j DROP'], false],
    ['a log and then a drop', ['-A FORWARD -j LOG --log-prefix "x "', '-A FORWARD -j DROP'], true],
  ] // prettier-ignore
  for (const [what, rules, expected] of cases)
    it(`${expected ? 'tells of' : 'is content with'} ${what}`, () =>
      expect(drops(...rules)).to.equal(expected))

  it('judges each family by its own tables, and names its program', () => {
    const told = legacyDropping(parseLegacy('ip6', '-P FORWARD DROP\n'), [ipv4, ipv6])
    expect(told).to.have.length(1)
    expect(told[0]).to.match(/^chain FORWARD of ip6tables-legacy drops packets of fc00::\/48/)
  })
})
