import { expect } from 'chai'
import fc from 'fast-check'
import { Cidr } from '../../../src/core/net/cidr.ts'
import { Ipv4 } from '../../../src/core/net/ipv4.ts'
import { allocationCandidates } from '../../../src/core/overlay/allocation.ts'
import { overlap } from '../../../src/core/overlay/listed-records.ts'
import type { StoredRecord } from '../../../src/core/overlay/record.ts'
import { planRelease, planReservation, reservationsIn } from '../../../src/core/overlay/reservation.ts'
import { parseSubnetKey, printSubnetKey } from '../../../src/core/overlay/subnet-key.ts'
import { config, ip4, me, must, recordOf, valueOf } from '../../unit/core/overlay/fixtures.ts'

const network = config({ Network: '10.5.0.0/20', SubnetLen: 25 })
const subnets = (lengths: readonly number[]) =>
  fc
    .tuple(fc.integer({ min: 0, max: 2 ** 12 - 1 }), fc.constantFrom(...lengths))
    .map(([host, length]) =>
      Cidr.network(Cidr.v4(Ipv4.of(must(network.ipv4).network.address + host), length)),
    )
const hosts = fc.integer({ min: 2, max: 6 })
const values = (host: number) =>
  fc.constantFrom(
    valueOf(host),
    valueOf(host, { Node: undefined }),
    `{"PublicIP":"192.0.2.${String(host)}"}`,
    '{',
  )
const stored = fc
  .tuple(subnets([24, 25, 25, 25, 26]), hosts.chain(values), fc.boolean())
  .map(([subnet, value, isLeased], i = 0) => ({ subnet, value, isLeased, i }))
const records = fc
  .uniqueArray(stored, { maxLength: 25, selector: ({ subnet }) => Cidr.print(subnet) })
  .map((all) =>
    all.map(({ subnet, value, isLeased }, i) =>
      recordOf(i, {
        key: printSubnetKey({ subnet, subnet6: undefined }),
        value,
        leaseId: isLeased ? String(i + 1) : '0',
      }),
    ),
  )

/** As etcd would take the write. */
const put = (all: readonly StoredRecord[], key: string, value: string, leaseId: string): StoredRecord[] => [
  ...all.filter((record) => record.key !== key),
  {
    ...(all.find((record) => record.key === key) ?? { createRevision: 900 }),
    key,
    value,
    leaseId,
    modRevision: 900,
  },
]

describe('planReservation and planRelease', () => {
  it('touch one record, never another host’s, and undo each other', () => {
    fc.assert(
      fc.property(records, subnets([25]), hosts, (before, subnet, host) => {
        const key = { subnet, subnet6: undefined }
        const address = ip4(`192.0.2.${String(host)}`)
        const plan = planReservation({ config: network, records: before }, key, { address })
        const standing = before.find((record) => record.key === printSubnetKey(key))
        const isTheirs = standing?.value.includes(`192.0.2.${String(host)}"`) === true
        if (plan.kind === 'refused') {
          const others = before.filter((record) => overlap(must(parseSubnetKey(record.key)), key))
          expect(others.length).to.be.above(isTheirs ? 1 : 0)
          return
        }
        expect(standing === undefined || isTheirs).to.equal(true)
        const { write } = plan
        if (!write) {
          expect(standing?.leaseId).to.equal('0')
          return
        }
        expect(write.modRevision).to.equal(standing?.modRevision ?? 0)
        if (standing) expect(write.value).to.equal(standing.value)
        const after = put(before, write.key, write.value, '0')
        const again = planReservation({ config: network, records: after }, key, { address })
        expect(again).to.deep.include({ kind: 'planned', write: undefined })
        expect(
          reservationsIn({ config: network, records: after }).map((r) => printSubnetKey(r.subnets)),
        ).to.include(write.key)
        const release = planRelease({ config: network, records: after }, key)
        expect(release.kind).to.equal(standing && write.value.includes('"Node"') ? 'lease' : 'delete')
      }),
    )
  })

  it('give a host that has nothing what was reserved for it, and others never', () => {
    fc.assert(
      fc.property(records, subnets([25]), (before, subnet) => {
        const key = { subnet, subnet6: undefined }
        const plan = planReservation({ config: network, records: before }, key, {
          address: must(me.ipv4).publicIp,
        })
        if (plan.kind === 'refused' || !plan.write) return
        const after = put(before, plan.write.key, plan.write.value, '0')
        const view = {
          config: network,
          records: after,
          held: undefined,
          previous: undefined,
          random: () => 0,
        }
        const [first] = allocationCandidates({ ...view, me })
        expect(first).to.deep.include({ kind: 'reservation', keyText: plan.write.key })
        const other = { ...me, node: 'other', ipv4: { ...must(me.ipv4), publicIp: ip4('192.0.2.99') } }
        for (const { key: offered } of allocationCandidates({ ...view, me: other }))
          expect(overlap(offered, key)).to.equal(false)
      }),
    )
  })
})
