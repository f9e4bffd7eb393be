import { expect } from 'chai'
import {
  type AllocationView,
  allocationCandidates,
  keptCandidates,
  sharedAddressFault,
  staticCandidate,
} from '../../../../src/core/overlay/allocation.ts'
import { parseSubnetKey } from '../../../../src/core/overlay/subnet-key.ts'
import { config, dualConfig, flannelValue, me, must, recordOf, valueOf } from './fixtures.ts'

const view = (more: Partial<AllocationView> = {}): AllocationView => ({
  config: config(),
  records: [],
  me,
  held: undefined,
  previous: undefined,
  random: () => 0,
  ...more,
})
/** `kind key @guard` of the first so many. */
const first = (count: number, more: Partial<AllocationView>): string[] => {
  const told: string[] = []
  for (const { kind, keyText, guardModRevision } of allocationCandidates(view(more))) {
    if (told.length === count) break
    told.push(`${kind} ${keyText} @${String(guardModRevision)}`)
  }
  return told
}
const four = config({ Network: '10.5.0.0/22' })
const mine = (n: number, more: Readonly<Record<string, unknown>> = {}) =>
  recordOf(n, { value: valueOf(n, { Node: 'me', ...more }) })

describe('allocationCandidates', () => {
  it('offers all free subnets and none twice', () => {
    const keys = [...allocationCandidates(view())].map(({ keyText }) => keyText)
    expect(keys).to.have.lengthOf(255)
    expect(new Set(keys)).to.include('10.5.1.0-24').and.include('10.5.255.0-24')
    expect(new Set(keys).size).to.equal(255)
  })

  it('offers our own record first, guarded by its revision', () => {
    expect(first(2, { records: [recordOf(2), mine(7)] })[0]).to.equal('own 10.5.7.0-24 @107')
  })

  it('recognises our record however its JSON is escaped', () => {
    const escaped = { node: '"\\u006de"', address: '"192.0.2\\u002e1"' }
    const byNode = recordOf(7, { value: valueOf(7, { Node: 'me' }).replace('"me"', escaped.node) })
    expect(first(1, { records: [byNode] })).to.deep.equal(['own 10.5.7.0-24 @107'])
    const byAddress = recordOf(7, { value: flannelValue.replace('"192.168.64.3"', escaped.address) })
    expect(first(1, { records: [byAddress] })).to.deep.equal(['own 10.5.7.0-24 @107'])
  })

  it('recognises what flannel left on this host by its address', () => {
    const records = [recordOf(7, { value: flannelValue.replace('192.168.64.3', '192.0.2.1') })]
    expect(first(1, { records })).to.deep.equal(['own 10.5.7.0-24 @107'])
  })

  it('takes a reservation for this address and leaves it one', () => {
    const records = [recordOf(7, { value: '{"PublicIP":"192.0.2.1"}', leaseId: '0' })]
    expect(first(1, { records })).to.deep.equal(['reservation 10.5.7.0-24 @107'])
    const narrow = config({ SubnetMax: '10.5.3.0' })
    expect(first(1, { records, config: narrow })).to.deep.equal(['reservation 10.5.7.0-24 @107'])
  })

  it('prefers the record with our node id, then the newest', () => {
    const flannel = recordOf(9, { value: valueOf(1, { Node: undefined }), modRevision: 900 })
    expect(first(3, { records: [flannel, mine(3), mine(4)] })).to.deep.equal([
      'own 10.5.4.0-24 @104',
      'own 10.5.3.0-24 @103',
      'own 10.5.9.0-24 @900',
    ])
  })

  it('prefers what it uses to what is only reserved, even by node id and later', () => {
    const reserved = [
      recordOf(8, { value: '{"PublicIP":"192.0.2.1"}', leaseId: '0', modRevision: 900 }),
      recordOf(9, { value: '{"PublicIP":"192.0.2.1","Node":"me"}', leaseId: '0', modRevision: 901 }),
      recordOf(10, { value: valueOf(1, { Node: undefined }), leaseId: '0', modRevision: 902 }),
    ]
    expect(first(4, { records: [mine(7), ...reserved] })).to.deep.equal([
      'own 10.5.7.0-24 @107',
      'reservation 10.5.9.0-24 @901',
      'reservation 10.5.10.0-24 @902',
      'reservation 10.5.8.0-24 @900',
    ])
    const used = recordOf(6, { value: valueOf(6, { Node: 'me' }), leaseId: '0' })
    expect(first(1, { records: [used, ...reserved] })).to.deep.equal(['reservation 10.5.6.0-24 @106'])
  })

  it('prefers what containers run with, of which only the record is gone, to a reservation', () => {
    const records = [recordOf(8, { value: '{"PublicIP":"192.0.2.1"}', leaseId: '0' })]
    const held = parseSubnetKey('10.5.2.0-24')
    expect(first(2, { records, held })).to.deep.equal([
      'previous 10.5.2.0-24 @0',
      'reservation 10.5.8.0-24 @108',
    ])
    expect(first(2, { records, previous: held })).to.deep.equal([
      'reservation 10.5.8.0-24 @108',
      'previous 10.5.2.0-24 @0',
    ])
    const narrow = config({ SubnetMin: '10.5.4.0' })
    expect(first(1, { config: narrow, held })).to.deep.equal(['previous 10.5.2.0-24 @0'])
    expect(first(1, { config: narrow, previous: held })[0]).to.match(/^free/)
    expect(first(1, { held, records: [recordOf(2)] })[0]).to.match(/^free/)
  })

  it('takes back what somebody has overwritten with garbage', () => {
    const spoiled = recordOf(2, { value: 'garbage' })
    const held = parseSubnetKey('10.5.2.0-24')
    expect(first(1, { held, records: [spoiled] })).to.deep.equal(['previous 10.5.2.0-24 @102'])
  })

  it('lets go of a record that the configuration has outgrown', () => {
    for (const more of [{ SubnetLen: 26 }, { Network: '10.6.0.0/16' }])
      expect(first(1, { records: [mine(7)], config: config(more) })[0]).to.match(/^free /)
  })

  it('keeps a record that SubnetMin has passed by: its containers run', () => {
    const moved = { records: [mine(7)], config: config({ SubnetMin: '10.5.8.0' }) }
    expect(first(1, moved)).to.deep.equal(['own 10.5.7.0-24 @107'])
  })

  it('lets go of a record that an older one of another length overlaps', () => {
    const older = recordOf(6, { key: '10.5.6.0-23', createRevision: 1 })
    expect(first(1, { records: [older, mine(7)] })[0]).to.match(/^free /)
    const younger = recordOf(6, { key: '10.5.6.0-23', createRevision: 900 })
    expect(first(1, { records: [younger, mine(7)] })).to.deep.equal(['own 10.5.7.0-24 @107'])
  })

  it('offers the previous subnet next, if it is free, and once', () => {
    const previous = parseSubnetKey('10.5.2.0-24')
    expect(first(9, { config: four, previous })).to.have.members([
      'previous 10.5.2.0-24 @0',
      'free 10.5.1.0-24 @0',
      'free 10.5.3.0-24 @0',
    ])
    expect(first(1, { config: four, previous })).to.deep.equal(['previous 10.5.2.0-24 @0'])
    expect(first(9, { config: four, previous, records: [recordOf(2)] })).to.have.members([
      'free 10.5.1.0-24 @0',
      'free 10.5.3.0-24 @0',
    ])
    for (const text of ['10.6.2.0-24', '10.5.2.0-25', '10.5.0.0-24', '10.5.2.0-24&fc00:0:0:1::-64'])
      expect(first(9, { config: four, previous: parseSubnetKey(text) }).join()).not.to.include('previous')
  })

  it('passes over everything that overlaps a listed key, whatever its value', () => {
    const records = [
      recordOf(1, { key: '10.5.1.128-25', value: 'garbage' }),
      recordOf(2, { key: '10.5.2.0-24' }),
      recordOf(3, { key: '10.5.3.64-26' }),
    ]
    expect(first(9, { config: four, records })).to.deep.equal([])
  })

  it('ignores what is no subnet of a host, so that one record cannot take everything', () => {
    const records = ['0.0.0.0-0', '10.5.0.0-22', '10.5.2.0-23', '192.0.2.0-24'].map((key, i) =>
      recordOf(i + 2, { key }),
    )
    expect(first(9, { config: four, records })).to.have.lengthOf(3)
  })

  it('draws with the random numbers that it is given', () => {
    expect(first(1, { config: four, random: () => 0 })).to.deep.equal(['free 10.5.1.0-24 @0'])
    expect(first(1, { config: four, random: () => 0.999 })).to.deep.equal(['free 10.5.3.0-24 @0'])
  })

  it('draws from a whole /8 without making a list of it', () => {
    const huge = config({ Network: '10.0.0.0/8', SubnetLen: 30 })
    expect(first(1, { config: huge, random: () => 0.999_999_99 })).to.deep.equal([
      'free 10.255.255.252-30 @0',
    ])
  })

  it('pairs free subnets of both families', () => {
    const dual = dualConfig()
    const [one] = allocationCandidates(
      view({ config: dual, records: [recordOf(1, { key: '10.5.1.0-24&fc00:0:0:1::-64' })] }),
    )
    expect(one?.keyText).to.equal('10.5.2.0-24&fc00:0:0:2::-64')
    const previous = parseSubnetKey('10.5.9.0-24&fc00:0:0:9::-64')
    expect(first(1, { config: dual, previous })).to.deep.equal(['previous 10.5.9.0-24&fc00:0:0:9::-64 @0'])
  })
})

describe('keptCandidates', () => {
  it('are the records in use and the subnet that was held, and nothing else', () => {
    const records = [mine(7), recordOf(8, { value: '{"PublicIP":"192.0.2.1"}', leaseId: '0' })]
    const keys = (more: Partial<AllocationView>) =>
      [...keptCandidates(view(more))].map(({ keyText }) => keyText)
    expect(keys({ records, held: parseSubnetKey('10.5.9.0-24') })).to.deep.equal([
      '10.5.7.0-24',
      '10.5.9.0-24',
    ])
    expect(keys({ records, held: parseSubnetKey('10.5.7.0-24') })).to.deep.equal(['10.5.7.0-24'])
    expect(keys({ previous: parseSubnetKey('10.5.9.0-24') })).to.deep.equal([])
  })
})

describe('staticCandidate', () => {
  const wanted = must(parseSubnetKey('10.5.7.0-24'))
  const tried = (more: Partial<AllocationView>, key = wanted): string => {
    const found = staticCandidate(view(more), key)
    return found.kind === 'fault'
      ? `${found.code}: ${found.message}`
      : `${found.kind} ${found.keyText} @${String(found.guardModRevision)}`
  }

  it('is the free subnet, outside of SubnetMin and SubnetMax too', () => {
    expect(tried({ records: [mine(3), recordOf(8)] })).to.equal('static 10.5.7.0-24 @0')
    expect(tried({ config: config({ SubnetMin: '10.5.8.0' }) })).to.equal('static 10.5.7.0-24 @0')
  })

  it('is our own record or our reservation, under its guard', () => {
    expect(tried({ records: [mine(7)] })).to.equal('own 10.5.7.0-24 @107')
    const reserved = recordOf(7, { value: '{"PublicIP":"192.0.2.1"}', leaseId: '0' })
    expect(tried({ records: [mine(3), reserved] })).to.equal('reservation 10.5.7.0-24 @107')
    expect(tried({ held: wanted, records: [recordOf(7, { value: 'garbage' })] })).to.equal(
      'previous 10.5.7.0-24 @107',
    )
  })

  it('says who is in the way', () => {
    expect(tried({ records: [recordOf(7)] })).to.equal(
      'lease-conflict: --subnet is 10.5.7.0/24: 10.5.7.0/24 is held by node-7 (192.0.2.7)',
    )
    expect(tried({ records: [recordOf(7, { value: '{"PublicIP":"192.0.2.9"}', leaseId: '0' })] })).to.match(
      /10\.5\.7\.0\/24 is reserved for 192\.0\.2\.9$/,
    )
    expect(tried({ records: [recordOf(7, { key: '10.5.7.128-25' })] })).to.match(/10\.5\.7\.128\/25 is held/)
    expect(tried({ records: [recordOf(7, { value: 'garbage' })] })).to.match(/malformed/)
  })

  it('says what does not fit the network', () => {
    for (const [key, words] of [
      ['10.6.7.0-24', /10\.6\.7\.0\/24 must be inside 10\.5\.0\.0\/16/],
      ['10.5.7.0-25', /must be a \/24/],
      ['10.5.7.0-24&fc00:0:0:7::-64', /the network has no IPv6/],
    ] as const)
      expect(tried({}, must(parseSubnetKey(key))))
        .to.match(/^subnet-unfit/)
        .and.to.match(words)
    expect(tried({ config: dualConfig() })).to.match(/subnet of fc00::\/48 must stand with it/)
    const both = must(parseSubnetKey('10.5.7.0-24&fc00:0:0:7::-64'))
    expect(tried({ config: dualConfig() }, both)).to.equal('static 10.5.7.0-24&fc00:0:0:7::-64 @0')
  })
})

describe('sharedAddressFault', () => {
  it('names both hosts that have one address', () => {
    const records = [recordOf(9, { value: valueOf(9, { PublicIP: '192.0.2.1' }) })]
    const fault = sharedAddressFault(records, me)
    expect(fault?.code).to.equal('lease-conflict')
    expect(fault?.message)
      .to.include('me')
      .and.include('node-9')
      .and.include('192.0.2.1')
      .and.include('10.5.9.0-24')
  })

  it('has nothing against our own records, flannel’s, and those of other addresses', () => {
    const flannel = recordOf(3, { value: valueOf(1, { Node: undefined }) })
    const reserved = recordOf(5, { value: '{"PublicIP":"192.0.2.1","Node":"once"}', leaseId: '0' })
    expect(sharedAddressFault([reserved], me)).to.equal(undefined)
    expect(sharedAddressFault([mine(1), flannel, recordOf(9), recordOf(4, { value: '{' })], me)).to.equal(
      undefined,
    )
  })
})
