import { expect } from 'chai'
import { printOp } from '../../../../src/core/kernel/notation.ts'
import { replacement } from '../../../../src/core/kernel/replacement.ts'
import type { Op } from '../../../../src/core/kernel/rows.ts'
import { Cidr } from '../../../../src/core/net/cidr.ts'
import { Ip } from '../../../../src/core/net/ip.ts'

const route = (dst: string, via: string, more: Partial<Op> = {}): Op => {
  const cidr = Cidr.parse(dst)
  if (!cidr) throw new Error(dst)
  return {
    verb: 'add',
    replace: true,
    row: { kind: 'route', link: 4, dst: cidr, via: Ip.parse(via) },
    ...more,
  }
}
const printed = (op: Op) => replacement(op).map((each) => printOp(each, 'tweed-v6.1'))

describe('replacement', () => {
  it('leads an IPv6 next hop that lies in its own destination over the new device first', () => {
    expect(printed(route('fc00:0:0:2::/64', 'fc00:0:0:2::'))).to.deep.equal([
      'ip route add fc00:0:0:2::/128 dev tweed-v6.1 proto 84',
      'ip route replace fc00:0:0:2::/64 via fc00:0:0:2:: dev tweed-v6.1 onlink proto 84',
      'ip route del fc00:0:0:2::/128 dev tweed-v6.1 proto 84',
    ])
  })

  it('is one operation for everything else', () => {
    for (const op of [
      route('fc00:0:0:2::/64', '2001:db8::12'),
      route('10.5.2.0/24', '10.5.2.0'),
      route('fc00:0:0:2::/64', 'fc00:0:0:2::', { replace: false }),
      route('fc00:0:0:2::/64', 'fc00:0:0:2::', { verb: 'remove' }),
    ])
      expect(replacement(op)).to.deep.equal([op])
  })
})
