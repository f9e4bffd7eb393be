import { expect } from 'chai'
import { Cidr } from '../../../src/core/net/cidr.ts'
import { Ipv4 } from '../../../src/core/net/ipv4.ts'
import { Fault } from '../../../src/core/fault.ts'
import { acquire$ } from '../../../src/streams/acquire.ts'
import { parseSubnets } from '../../../src/core/overlay/subnet-key.ts'
import { ip6, me, must, recordOf, valueOf } from '../core/overlay/fixtures.ts'
import { Leasing } from './leasing.ts'

const small = { SubnetMin: '10.5.1.0', SubnetMax: '10.5.3.0' }

describe('acquire$', () => {
  let leasing: Leasing
  beforeEach(() => (leasing = new Leasing(small)))
  /** Begins again. */
  const setUp = (change: Readonly<Record<string, unknown>> = small): void => {
    leasing.time.end()
    leasing = new Leasing(change)
  }
  afterEach(() => leasing.time.end())

  const acquire = (change: Parameters<Leasing['acquiring']>[0] = {}) => {
    const followed = leasing.follow(acquire$(leasing.acquiring(change)))
    leasing.time.advance(100)
    return followed
  }
  const grant = (): string => {
    const granted = leasing.follow(leasing.store.grant$(86_400))
    leasing.time.advance(10)
    return granted.last
  }
  const keys = () => leasing.store.records.map(({ key, leaseId }) => [key, leaseId])

  it('claims a free subnet under a new lease', () => {
    const { last } = acquire()
    expect(last).to.deep.include({ did: 'claimed', key: '10.5.1.0-24', leaseId: '1000' })
    expect(leasing.store.records).to.deep.equal([
      { key: '10.5.1.0-24', value: leasing.value, createRevision: 3, modRevision: 3, leaseId: '1000' },
    ])
    expect(last.modRevision).to.equal(3)
  })

  it('adopts its own untouched record without a write', () => {
    const leaseId = grant()
    leasing.store.put('10.5.2.0-24', leasing.value, leaseId)
    const { revision } = leasing.store
    expect(acquire().last).to.deep.include({
      did: 'adopted',
      key: '10.5.2.0-24',
      leaseId,
      modRevision: revision,
    })
    expect(leasing.store.revision).to.equal(revision)
    expect(leasing.store.leases).to.deep.equal([leaseId])
  })

  it('writes its own record again where the MAC has changed, on the lease that it hangs on', () => {
    const leaseId = grant()
    leasing.store.put('10.5.2.0-24', leasing.value.replace('00:01', '00:99'), leaseId)
    expect(acquire().last).to.deep.include({ did: 'claimed', key: '10.5.2.0-24', leaseId })
    expect(leasing.store.records[0]?.value).to.equal(leasing.value)
  })

  it('takes a new lease for its own record where the old one has gone', () => {
    leasing.store.put('10.5.2.0-24', leasing.value, '999')
    expect(acquire().last).to.deep.include({ did: 'claimed', key: '10.5.2.0-24', leaseId: '1000' })
  })

  it('takes the previous subnet before any other', () => {
    expect(acquire({ previous: '10.5.3.0-24' }).last.key).to.equal('10.5.3.0-24')
  })

  it('leaves the previous subnet to whoever has it now', () => {
    leasing.store.put('10.5.3.0-24', valueOf(9), grant())
    expect(acquire({ previous: '10.5.3.0-24' }).last.key).to.equal('10.5.1.0-24')
  })

  it('takes a reservation, which stays one', () => {
    const reserved = '{"PublicIP":"192.0.2.1","BackendType":"vxlan"}'
    leasing.store.put('10.5.3.0-24', reserved, '0')
    expect(acquire().last).to.deep.include({ did: 'claimed', key: '10.5.3.0-24', leaseId: '0' })
    expect(keys()).to.deep.equal([['10.5.3.0-24', '0']])
    expect(leasing.store.leases).to.deep.equal([])
  })

  it('goes on to the next candidate when it loses a race, with the one lease that it has', () => {
    const followed = leasing.follow(acquire$(leasing.acquiring()))
    leasing.time.advance(3) // the list has been read
    leasing.store.put('10.5.1.0-24', valueOf(9), '0')
    leasing.time.advance(100)
    expect(followed.last.key).to.equal('10.5.3.0-24')
    expect(leasing.store.leases).to.deep.equal(['1000'])
  })

  it('gives each of many hosts its own subnet, when all start in the same instant', () => {
    setUp({ SubnetMin: '10.5.1.0', SubnetMax: '10.5.20.0' })
    const hosts = Array.from({ length: 20 }, (_, n) => {
      const publicIp = Ipv4.of(me.ipv4.publicIp + n)
      const other = { ...me, node: `h${n}`, ipv4: { ...me.ipv4, publicIp } }
      return leasing.follow(acquire$(leasing.acquiring({ me: other })))
    })
    leasing.time.advance(1000)
    expect(new Set(hosts.map((host) => host.last.key)).size).to.equal(20)
  })

  it('gives each its own subnets in dual stack, when all draw one IPv4 subnet with different IPv6 ones', () => {
    setUp({ ...small, SubnetMax: '10.5.8.0', EnableIPv6: true, IPv6Network: 'fc00::/48' })
    const hosts = Array.from({ length: 8 }, (_, n) => {
      const ipv4 = { ...me.ipv4, publicIp: Ipv4.of(me.ipv4.publicIp + n) }
      const ipv6 = { publicIp: ip6(`2001:db8::${String(n + 1)}`), vtepMac: me.ipv4.vtepMac }
      let draws = 0
      const random = (): number => (draws++ % 2 === 0 ? 0 : n / 8) // the families in turn
      return leasing.follow(acquire$(leasing.acquiring({ me: { node: `h${n}`, ipv4, ipv6 }, random })))
    })
    leasing.time.advance(1000)
    const subnets = hosts.flatMap(({ last }) =>
      [last.subnet, last.subnet6].map((each) => each && Cidr.print(each)),
    )
    expect(new Set(subnets).size).to.equal(16)
    expect(leasing.store.records).to.have.length(8)
    expect(leasing.store.leases).to.have.length(8)
  })

  it('says that every subnet is taken, which may change, and gives the lease back', () => {
    for (const n of [1, 2, 3]) leasing.store.put(`10.5.${n}.0-24`, valueOf(n + 50), '0')
    const { error, values } = acquire()
    expect(values).to.deep.equal([])
    expect(error).to.deep.include({ code: 'subnets-exhausted', transient: true })
    expect(leasing.store.leases).to.deep.equal([])
  })

  it('gives the lease back when it loses the last subnet in a race', () => {
    for (const n of [2, 3]) leasing.store.put(`10.5.${n}.0-24`, valueOf(n + 50), '0')
    const followed = leasing.follow(acquire$(leasing.acquiring()))
    leasing.time.advance(4) // a lease is granted
    leasing.store.put('10.5.1.0-24', valueOf(51), '0')
    leasing.time.advance(100)
    expect(followed.error).to.deep.include({ code: 'subnets-exhausted' })
    expect(leasing.store.leases).to.deep.equal([])
  })

  it('begins again when the configuration changes between reading and claiming', () => {
    const followed = leasing.follow(acquire$(leasing.acquiring()))
    leasing.time.advance(3)
    leasing.store.writeConfig('{"Network":"10.6.0.0/16","Backend":{"Type":"vxlan"}}')
    leasing.time.advance(100)
    expect(followed.error).to.deep.include({ code: 'config-changed', transient: true })
    expect(leasing.store.records).to.deep.equal([])
    expect(leasing.store.leases).to.deep.equal([])
  })

  it('refuses to share its public address with another host', () => {
    leasing.store.put('10.5.9.0-24', valueOf(9, { PublicIP: '192.0.2.1' }), '0')
    const { error } = acquire()
    expect(error).to.deep.include({ code: 'lease-conflict' })
    expect(leasing.store.records).to.have.lengthOf(1)
  })

  it('leaves one record of itself', () => {
    const leaseId = grant()
    leasing.store.put('10.5.2.0-24', leasing.value, leaseId)
    leasing.store.put('10.5.3.0-24', leasing.value, leaseId)
    leasing.store.put(
      '10.5.1.0-24',
      recordOf(1).value.replace('node-1', 'other').replace('192.0.2.1', '192.0.2.9'),
    )
    expect(acquire().last.key).to.equal('10.5.3.0-24')
    expect(keys().map(([key]) => key)).to.deep.equal(['10.5.1.0-24', '10.5.3.0-24'])
  })

  it('is content with the subnet it insists on, and with no other', () => {
    expect(acquire({ previous: '10.5.2.0-24', insist: '10.5.2.0-24' }).last.key).to.equal('10.5.2.0-24')
    setUp()
    leasing.store.put('10.5.2.0-24', valueOf(9), '0')
    const { error } = acquire({ previous: '10.5.2.0-24', insist: '10.5.2.0-24' })
    expect(error).to.deep.include({ code: 'lease-conflict' })
    expect(leasing.store.records).to.have.lengthOf(1)
  })

  describe('where one subnet is wanted', () => {
    const wanted = (text: string, mayRenumber = true) => ({
      wanted: { subnets: must(parseSubnets(text)), mayRenumber },
    })
    const mine = (number: number, leaseId = grant()): void => {
      leasing.store.put(`10.5.${String(number)}.0-24`, leasing.value, leaseId)
    }

    it('takes it and no other', () => {
      expect(acquire(wanted('10.5.77.0/24')).last).to.deep.include({
        key: '10.5.77.0-24',
        instead: undefined,
      })
      setUp()
      leasing.store.put('10.5.2.0-24', valueOf(9), '0')
      const { values, error } = acquire(wanted('10.5.2.0/24'))
      expect(values).to.deep.equal([])
      expect(error).to.deep.include({ code: 'lease-conflict' })
      expect(leasing.store.records).to.have.lengthOf(1)
    })

    it('moves there from another, of which no record stays', () => {
      mine(2)
      expect(acquire(wanted('10.5.3.0/24')).last.key).to.equal('10.5.3.0-24')
      expect(keys().map(([key]) => key)).to.deep.equal(['10.5.3.0-24'])
    })

    it('leaves a reservation that it moves away from to the operator, as it was', () => {
      mine(2, '0')
      acquire(wanted('10.5.3.0/24'))
      expect(leasing.store.records.map(({ key, value, leaseId }) => [key, value, leaseId])).to.deep.equal([
        ['10.5.2.0-24', '{"PublicIP":"192.0.2.1","PublicIPv6":null}', '0'],
        ['10.5.3.0-24', leasing.value, '1000'],
      ])
      const { revision } = leasing.store
      acquire(wanted('10.5.3.0/24'))
      expect(leasing.store.revision, 'nothing is written twice').to.equal(revision)
    })

    it('moves away from what flannel has left here', () => {
      leasing.store.put('10.5.2.0-24', valueOf(1, { Node: undefined }), grant())
      acquire(wanted('10.5.3.0/24'))
      expect(keys().map(([key]) => key)).to.deep.equal(['10.5.3.0-24'])
    })

    it('keeps what it has where the wanted one is taken, denied or unfit, and says so', () => {
      mine(2)
      leasing.store.put('10.5.3.0-24', valueOf(9), '0')
      const kept = acquire(wanted('10.5.3.0/24')).last
      expect(kept).to.deep.include({ key: '10.5.2.0-24', did: 'adopted' })
      expect(kept.instead).to.deep.include({ code: 'lease-conflict' })
      expect(acquire(wanted('10.6.3.0/24')).last.instead).to.deep.include({ code: 'subnet-unfit' })
      leasing.store.failNext('claim$', Fault.of('etcd-denied'))
      const denied = acquire(wanted('10.5.1.0/24')).last
      expect(denied).to.deep.include({ key: '10.5.2.0-24' })
      expect(denied.instead).to.deep.include({ code: 'etcd-denied' })
    })

    it('keeps what it held last, too, where only the record is gone', () => {
      leasing.store.put('10.5.3.0-24', valueOf(9), '0')
      const { last } = acquire({ ...wanted('10.5.3.0/24'), held: '10.5.2.0-24' })
      expect(last).to.deep.include({ key: '10.5.2.0-24', did: 'claimed' })
    })

    it('tries again where etcd is silent, and keeps nothing meanwhile', () => {
      mine(2)
      leasing.store.failNext('claim$', Fault.of('etcd-unreachable'))
      const { error, values } = acquire(wanted('10.5.3.0/24'))
      expect(values).to.deep.equal([])
      expect(error).to.deep.include({ code: 'etcd-unreachable' })
    })

    it('says that another was faster', () => {
      const followed = leasing.follow(acquire$(leasing.acquiring(wanted('10.5.3.0/24'))))
      leasing.time.advance(3)
      leasing.store.put('10.5.3.0-24', valueOf(9), '0')
      leasing.time.advance(100)
      expect(followed.error).to.deep.include({ code: 'lease-conflict' })
      expect(leasing.store.leases).to.deep.equal([])
    })

    it('moves nothing once it runs', () => {
      mine(2)
      const { last } = acquire(wanted('10.5.3.0/24', false))
      expect(last).to.deep.include({ key: '10.5.2.0-24' })
      expect(last.instead?.message).to.match(/free now: restart the agent to move there/)
      setUp()
      expect(acquire(wanted('10.5.3.0/24', false)).last.key, 'nothing to keep').to.equal('10.5.3.0-24')
      expect(acquire({ ...wanted('10.5.3.0/24', false), held: '10.5.3.0-24' }).last).to.deep.include({
        key: '10.5.3.0-24',
        instead: undefined,
      })
    })
  })

  it('passes the faults of etcd on, and gives the lease back where it can', () => {
    leasing.store.failNext('claim$', Fault.of('etcd-unreachable'))
    expect(acquire().error).to.deep.include({ code: 'etcd-unreachable' })
    expect(leasing.store.leases).to.deep.equal([])
    leasing.store.failNext('read$', Fault.of('etcd-denied'))
    expect(acquire().error).to.deep.include({ code: 'etcd-denied' })
  })
})
