import { expect } from 'chai'
import type { StoredRecord } from '../../../../src/core/overlay/record.ts'
import {
  planRelease,
  planReservation,
  reservationsIn,
  type ReservedFor,
} from '../../../../src/core/overlay/reservation.ts'
import { parseSubnets } from '../../../../src/core/overlay/subnet-key.ts'
import { config, dualConfig, flannelValue, ip4, ip6, must, recordOf, valueOf } from './fixtures.ts'

const host7: ReservedFor = { address: ip4('192.0.2.7') }
const bare = '{"PublicIP":"192.0.2.7","PublicIPv6":null}'
const reserved = (n: number, value = bare): StoredRecord => recordOf(n, { value, leaseId: '0' })

describe('planReservation', () => {
  const plan = (subnet: string, host: ReservedFor, records: readonly StoredRecord[] = [], of = config()) =>
    planReservation({ config: of, records }, must(parseSubnets(subnet)), host)
  const written = (...args: Parameters<typeof plan>) => {
    const made = plan(...args)
    return made.kind === 'planned' ? made.write : made.why
  }
  const notes = (...args: Parameters<typeof plan>) => {
    const made = plan(...args)
    return made.kind === 'planned' ? made.notes : made.why
  }

  it('writes the address of the host, under a key that must not exist', () => {
    const write = { key: '10.5.7.0-24', value: bare, modRevision: 0 }
    expect(written('10.5.7.0/24', host7, [recordOf(8)])).to.deep.equal(write)
    expect(
      written('10.5.7.0/24', host7, [], config({ SubnetMin: '10.5.9.0' })),
      'outside SubnetMin',
    ).to.deep.equal(write)
  })

  it('writes both families in dual stack', () => {
    expect(written('10.5.7.0/24,fc00:0:0:7::/64', host7, [], dualConfig())).to.deep.equal({
      ...{ key: '10.5.7.0-24&fc00:0:0:7::-64', value: bare, modRevision: 0 },
    })
    expect(written('10.5.7.0/24', host7, [], dualConfig())).to.match(/the network has IPv6 too/)
  })

  it('takes the lease from the record of the host itself, and changes no byte of it', () => {
    const record = recordOf(7)
    for (const host of [host7, { node: 'node-7' }])
      expect(written('10.5.7.0/24', host, [record])).to.deep.equal({
        ...{ key: '10.5.7.0-24', value: record.value, modRevision: 107 },
      })
  })

  it('has nothing to write where it is reserved already, in use or not', () => {
    for (const standing of [reserved(7), recordOf(7, { leaseId: '0' })])
      expect(written('10.5.7.0/24', host7, [standing])).to.equal(undefined)
  })

  it('refuses what another host has, and says which', () => {
    expect(written('10.5.9.0/24', host7, [recordOf(9)])).to.equal('10.5.9.0/24 is held by node-9 (192.0.2.9)')
    const flannel = recordOf(9, { value: flannelValue })
    expect(written('10.5.9.0/24', host7, [flannel])).to.equal('10.5.9.0/24 is held by 192.168.64.3')
    expect(written('10.5.9.0/24', { address: ip4('192.0.2.8') }, [reserved(9)])).to.equal(
      '10.5.9.0/24 is reserved for 192.0.2.7',
    )
    expect(written('10.5.9.0/24', host7, [recordOf(9, { value: '{' })])).to.match(/is malformed/)
  })

  it('refuses what overlaps a record of another length, even of the same host', () => {
    expect(written('10.5.9.0/24', host7, [recordOf(7, { key: '10.5.9.128-25' })])).to.match(
      /10\.5\.9\.128\/25/,
    )
  })

  it('refuses what does not fit the network', () => {
    expect(written('10.6.7.0/24', host7)).to.match(/10\.6\.7\.0\/24 must be inside 10\.5\.0\.0\/16/)
    expect(written('10.5.7.0/25', host7)).to.match(/must be a \/24/)
    expect(written('10.5.7.0/24,fc00:0:0:7::/64', host7)).to.match(/has no IPv6/)
  })

  it('refuses a record that is about to go', () => {
    expect(written('10.5.7.0/24', host7, [recordOf(7, { value: valueOf(7, { Leaving: true }) })])).to.match(
      /try again/,
    )
  })

  it('finds the address of a host that is named by its id or its IPv6 address, or asks for it', () => {
    const value = '{"PublicIP":"192.0.2.7","PublicIPv6":null,"Node":"node-7"}'
    expect(written('10.5.9.0/24', { node: 'node-7' }, [recordOf(7)])).to.deep.include({ value })
    const dual = recordOf(7, { value: valueOf(7, { PublicIPv6: '2001:db8::7' }) })
    const host = { address: ip6('2001:db8::7') }
    expect(written('10.5.9.0/24', host, [dual]))
      .to.have.property('value')
      .that.includes('2001:db8::7')
    expect(written('10.5.9.0/24', { node: 'node-7' })).to.match(
      /no record names the host node-7: give the IPv4/,
    )
    expect(written('10.5.9.0/24', host)).to.match(/no record names this address: give the IPv4/)
  })

  it('notes that the host does not move by itself, and what flannel does', () => {
    expect(notes('10.5.9.0/24', host7)).to.deep.equal([])
    expect(notes('10.5.9.0/24', host7, [recordOf(7)])).to.deep.equal([
      '10.5.7.0/24 is held by node-7 (192.0.2.7), which keeps it until it leaves or is started with --subnet',
    ])
    expect(notes('10.5.9.0/24', host7, [reserved(8)])[0]).to.match(
      /10\.5\.8\.0\/24 is reserved .* written last/,
    )
    const flannel = recordOf(7, { value: valueOf(7, { Node: undefined }) })
    expect(notes('10.5.7.0/24', host7, [flannel])[0]).to.match(/^flannel/)
    expect(notes('10.5.7.0/24', host7, [recordOf(7)])).to.deep.equal([])
  })
})

describe('planRelease', () => {
  const release = (n: number, ...records: StoredRecord[]) =>
    planRelease({ config: config(), records }, must(parseSubnets(`10.5.${String(n)}.0/24`)))

  it('deletes what nobody uses', () => {
    expect(release(7, reserved(7), recordOf(8))).to.deep.include({
      ...{ kind: 'delete', key: '10.5.7.0-24', modRevision: 107 },
    })
  })

  it('gives what its host uses a lease, and changes no byte of it', () => {
    const record = recordOf(7, { leaseId: '0' })
    expect(release(7, record)).to.deep.include({
      ...{ kind: 'lease', write: { key: '10.5.7.0-24', value: record.value, modRevision: 107 } },
    })
  })

  it('refuses what is no reservation', () => {
    expect(release(7)).to.deep.equal({ kind: 'refused', why: '10.5.7.0/24 is not reserved' })
    expect(release(7, recordOf(7)))
      .to.have.property('why')
      .that.matches(/held by node-7 .* tweed leave/)
    expect(release(7, reserved(7, '{')))
      .to.have.property('why')
      .that.matches(/malformed/)
  })
})

describe('reservationsIn', () => {
  it('lists the records without a lease', () => {
    const records = [recordOf(6), reserved(7), recordOf(8, { leaseId: '0' }), reserved(9, '{')]
    expect(
      reservationsIn({ config: config(), records }).map(({ record, isUsed }) => [record?.node, isUsed]),
    ).to.deep.equal([
      [undefined, false],
      ['node-8', true],
      [undefined, false],
    ])
  })
})
