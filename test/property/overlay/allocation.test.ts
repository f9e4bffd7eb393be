import { expect } from 'chai'
import fc from 'fast-check'
import { Cidr, type Cidr4 } from '../../../src/core/net/cidr.ts'
import { Ipv4 } from '../../../src/core/net/ipv4.ts'
import { Subnets } from '../../../src/core/net/subnets.ts'
import { allocationCandidates } from '../../../src/core/overlay/allocation.ts'
import { parseSubnetKey, printSubnetKey } from '../../../src/core/overlay/subnet-key.ts'
import { config, me, must, recordOf } from '../../unit/core/overlay/fixtures.ts'

const network = config({
  Network: '10.5.0.0/20',
  SubnetLen: 25,
  SubnetMin: '10.5.1.0',
  SubnetMax: '10.5.13.128',
})
const range = must(network.ipv4)
/** Keys in and around the network, of all lengths. */
const keys = fc
  .tuple(fc.integer({ min: 0, max: 2 ** 13 - 1 }), fc.integer({ min: 20, max: 30 }))
  .map(([host, length]) => Cidr.network(Cidr.v4(Ipv4.of(range.network.address + host), length)))
const numbers = fc.array(fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }), {
  minLength: 1,
  maxLength: 50,
})

/** No host's subnet is larger than a quarter of the network; what claims more is ignored. */
const isHosts = (subnet: Cidr4): boolean =>
  Cidr.containsCidr(range.network, subnet) && subnet.length >= range.network.length + 2

describe('allocationCandidates', () => {
  it('are exactly the subnets of the range that overlap nobody, each once', () => {
    const previous = fc.option(keys, { nil: undefined })
    fc.assert(
      fc.property(fc.array(keys, { maxLength: 30 }), previous, numbers, (taken, before, dice) => {
        let thrown = 0
        const candidates = allocationCandidates({
          config: network,
          me,
          records: taken.map((subnet, i) =>
            recordOf(2 + (i % 50), { key: printSubnetKey({ subnet, subnet6: undefined }) }),
          ),
          held: undefined,
          previous: before && { subnet: before, subnet6: undefined },
          random: () => dice[thrown++ % dice.length] ?? 0,
        })
        const offered = [...candidates].map(({ keyText }) => keyText)
        const free = [...Subnets.each(Subnets.between(range.subnetMin, range.subnetMax))]
          .filter((subnet) => !taken.filter(isHosts).some((other) => Cidr.overlaps(other, subnet)))
          .map((subnet) => printSubnetKey({ subnet, subnet6: undefined }))
        expect([...offered].sort()).to.deep.equal(free.sort())
      }),
    )
  })

  it('print the key that they carry', () => {
    for (const { key, keyText } of allocationCandidates({
      config: network,
      me,
      records: [],
      held: undefined,
      previous: undefined,
      random: Math.random,
    }))
      expect(parseSubnetKey(keyText)).to.deep.equal(key)
  })
})
