import { expect } from 'chai'
import { delay, NEVER, share, Subject } from 'rxjs'
import { Fault } from '../../../src/core/fault.ts'
import type { RecordEvent, StoreEvent } from '../../../src/ports/lease-store.ts'
import { type Held, type LeaseState, ownLease$ } from '../../../src/streams/lease.ts'
import { cidr4, valueOf } from '../core/overlay/fixtures.ts'
import { type Followed, Leasing } from './leasing.ts'

const hour = 3_600_000
const kinds = (states: Followed<LeaseState>) => states.values.map(({ kind }) => kind)

describe('ownLease$', () => {
  let leasing: Leasing
  let states: Followed<LeaseState>
  beforeEach(() => (leasing = new Leasing({ SubnetMin: '10.5.1.0', SubnetMax: '10.5.3.0' })))
  afterEach(() => {
    states.stop()
    leasing.time.end()
  })

  const hold = (change: Parameters<Leasing['holding']>[0] = {}): void => {
    const middling = { random: () => 0.5, previous: '10.5.1.0-24' }
    states = leasing.follow(ownLease$(leasing.holding({ ...middling, ...change })))
    leasing.time.advance(100)
  }
  const held = (modRevision = 1): Held => ({
    ...{ key: '10.5.2.0-24', subnet: cidr4('10.5.2.0/24'), subnet6: undefined, leaseId: '1000', modRevision },
  })

  it('acquires a subnet and keeps its lease alive every hour, writing nothing', () => {
    hold()
    expect(kinds(states)).to.deep.equal(['owned'])
    const { revision } = leasing.store
    leasing.time.advance(3 * hour)
    expect(kinds(states).length).to.be.within(3, 5)
    expect(states.last).to.deep.include({ kind: 'owned', remainingSeconds: 86_400 })
    expect(leasing.store.revision).to.equal(revision)
  })

  it('chooses by the list that the watch is about to give, and asks for no other', () => {
    const records$ = leasing.store.records$.pipe(delay(500), share())
    const watching = records$.subscribe()
    leasing.store.put('10.5.1.0-24', valueOf(9), '0')
    leasing.store.failNext('read$', Fault.of('etcd-unreachable'))
    hold({ records$, listed: () => false })
    expect(states.values).to.deep.equal([])
    leasing.time.advance(500)
    expect(states.last).to.deep.include({ kind: 'owned' })
    expect(states.last.kind === 'owned' && states.last.lease.key).to.equal('10.5.3.0-24') // not the taken one
    watching.unsubscribe()
  })

  it('asks by itself when the list does not come', () => {
    hold({ records$: NEVER, listed: () => false })
    expect(states.values).to.deep.equal([])
    leasing.time.advance(1000)
    expect(kinds(states)).to.deep.equal(['owned'])
  })

  it('asks three times in the life of a short lease', () => {
    hold({ ttlSeconds: 60 })
    leasing.time.advance(65_000)
    expect(kinds(states)).to.deep.equal(['owned', 'owned', 'owned', 'owned'])
  })

  it('is unsure while etcd is silent, for however long, and sure again afterwards', () => {
    hold()
    leasing.store.disconnect()
    leasing.time.advance(5 * hour)
    expect(states.last).to.deep.include({ kind: 'unsure', fault: Fault.of('etcd-unreachable') })
    expect(kinds(states)).not.to.include('lost')
    leasing.store.connect()
    leasing.time.advance(2 * 60_000)
    expect(states.last.kind).to.equal('owned')
  })

  it('claims the subnet again when etcd says that the lease is gone', () => {
    hold()
    leasing.store.expire('1000')
    leasing.time.advance(1000)
    expect(kinds(states)).to.deep.equal(['owned', 'lost', 'owned'])
    expect(leasing.store.records.map(({ key, leaseId }) => [key, leaseId])).to.deep.equal([
      ['10.5.1.0-24', '1001'],
    ])
  })

  it('claims the subnet again when somebody deletes its record', () => {
    hold()
    leasing.store.delete('10.5.1.0-24')
    leasing.time.advance(1000)
    expect(kinds(states)).to.deep.equal(['owned', 'lost', 'owned'])
    expect(leasing.store.records.map(({ key }) => key)).to.deep.equal(['10.5.1.0-24'])
  })

  it('claims the subnet again when a snapshot lacks its record', () => {
    hold()
    leasing.store.disconnect()
    leasing.time.advance(10)
    leasing.store.delete('10.5.1.0-24')
    leasing.store.compact()
    leasing.store.connect()
    leasing.time.advance(1000)
    expect(kinds(states)).to.deep.equal(['owned', 'lost', 'owned'])
  })

  it('is not disturbed by news of others, nor by its own record', () => {
    hold()
    leasing.store.put('10.5.2.0-24', valueOf(9), '0')
    leasing.time.advance(10)
    leasing.store.delete('10.5.2.0-24')
    leasing.time.advance(10)
    leasing.store.put('10.5.1.0-24', leasing.value, '1000')
    leasing.time.advance(1000)
    expect(kinds(states)).to.deep.equal(['owned'])
  })

  it('does not believe news that are older than its own claim', () => {
    const records$ = new Subject<StoreEvent<RecordEvent>>()
    hold({ records$ })
    const { modRevision } = leasing.store.records[0] ?? { modRevision: 0 }
    records$.next({ kind: 'value', value: { kind: 'snapshot', records: [] }, revision: modRevision - 1 })
    leasing.time.advance(1000)
    expect(kinds(states)).to.deep.equal(['owned'])
    records$.next({ kind: 'value', value: { kind: 'snapshot', records: [] }, revision: modRevision + 1 })
    expect(states.last.kind).to.equal('lost')
  })

  it('claims again what a restored etcd has in an older version', () => {
    const records$ = new Subject<StoreEvent<RecordEvent>>()
    hold({ records$ })
    const [ours] = leasing.store.records
    if (!ours) throw new Error('it has a record')
    const snapshot = (modRevision: number, revision: number): void =>
      records$.next({
        ...{ kind: 'value', value: { kind: 'snapshot', records: [{ ...ours, modRevision }] }, revision },
      })
    snapshot(ours.modRevision, ours.modRevision + 5)
    expect(kinds(states)).to.deep.equal(['owned'])
    snapshot(ours.modRevision - 1, ours.modRevision + 5)
    expect(states.last.kind).to.equal('lost')
    leasing.time.advance(1000)
    expect(states.last.kind).to.equal('owned')
  })

  it('has what the last run held until etcd says otherwise', () => {
    leasing.store.disconnect()
    hold({ saved: held() })
    expect(states.values[0]).to.deep.equal({ kind: 'unsure', lease: held(), fault: undefined })
    leasing.time.advance(10 * hour)
    expect(kinds(states)).not.to.include('lost')
    leasing.store.connect()
    leasing.time.advance(60_000)
    expect(states.last).to.deep.include({ kind: 'owned' })
    expect(states.last.kind === 'owned' && states.last.lease.key).to.equal('10.5.2.0-24')
  })

  it('tries until a subnet is free', () => {
    for (const n of [1, 2, 3]) leasing.store.put(`10.5.${n}.0-24`, valueOf(n + 50), '0')
    hold()
    leasing.time.advance(5000)
    expect(states.last).to.deep.include({ kind: 'acquiring' })
    expect(states.last.kind === 'acquiring' && states.last.fault?.code).to.equal('subnets-exhausted')
    leasing.store.delete('10.5.3.0-24')
    leasing.time.advance(30_000)
    expect(states.last.kind === 'owned' && states.last.lease.key).to.equal('10.5.3.0-24')
    expect(leasing.store.leases, 'the leases of failed tries are given back').to.have.lengthOf(1)
  })

  describe('when another host has got the subnet', () => {
    const lose = (onConflict: 'renumber' | 'hold' | 'exit'): void => {
      hold({ onConflict })
      leasing.store.delete('10.5.1.0-24')
      leasing.store.put('10.5.1.0-24', valueOf(9), '0')
      leasing.time.advance(5000)
    }

    it('takes another one and says so', () => {
      lose('renumber')
      expect(kinds(states)).to.deep.equal(['owned', 'lost', 'conflict', 'owned'])
      expect(states.last.kind === 'owned' && states.last.lease.key).not.to.equal('10.5.1.0-24')
    })

    it('holds on to it if so told, and has it back when the other goes', () => {
      lose('hold')
      expect(states.last.kind).to.equal('conflict')
      expect(kinds(states)).not.to.include('acquiring')
      leasing.store.delete('10.5.1.0-24')
      leasing.time.advance(60_000)
      expect(states.last.kind === 'owned' && states.last.lease.key).to.equal('10.5.1.0-24')
    })

    it('ends if so told', () => {
      lose('exit')
      expect(states.error).to.be.an('error')
    })
  })

  it('keeps a reservation without a lease', () => {
    leasing.store.put('10.5.3.0-24', '{"PublicIP":"192.0.2.1","BackendType":"vxlan"}', '0')
    hold()
    leasing.time.advance(10 * hour)
    expect(states.values).to.have.lengthOf(1)
    expect(states.last).to.deep.include({ kind: 'owned', remainingSeconds: undefined })
  })

  describe('when its record changes the lease that it hangs on', () => {
    const rehang = (leaseId: string): void => {
      const [record] = leasing.store.records
      leasing.store.put('10.5.1.0-24', record?.value ?? '', leaseId)
      leasing.time.advance(1000)
    }
    const hook = () => states.last.kind === 'owned' && states.last.lease.leaseId

    it('goes on without one where somebody reserves it, and loses nothing when the old one ends', () => {
      hold()
      rehang('0')
      expect(kinds(states)).to.deep.equal(['owned', 'owned'])
      expect(hook()).to.equal('0')
      leasing.store.expire('1000')
      leasing.time.advance(10 * hour)
      expect(kinds(states)).to.deep.equal(['owned', 'owned'])
      expect(leasing.store.records).to.have.lengthOf(1)
    })

    it('keeps the new one alive where a reservation ends', () => {
      leasing.store.put('10.5.1.0-24', leasing.value, '0')
      hold()
      expect(hook()).to.equal('0')
      const granted = leasing.follow(leasing.store.grant$(86_400))
      leasing.time.advance(10)
      rehang(granted.last)
      expect(hook()).to.equal(granted.last)
      leasing.time.advance(2 * hour)
      expect(states.last).to.deep.include({ kind: 'owned', remainingSeconds: 86_400 })
      leasing.store.expire(granted.last)
      leasing.time.advance(1000)
      expect(kinds(states).slice(-2)).to.deep.equal(['lost', 'owned'])
      expect(leasing.store.records.map(({ key }) => key)).to.deep.equal(['10.5.1.0-24'])
    })
  })

  it('does not move to a reservation, not even when its record is lost', () => {
    hold()
    leasing.store.put('10.5.3.0-24', '{"PublicIP":"192.0.2.1"}', '0')
    leasing.time.advance(1000)
    leasing.store.expire('1000')
    leasing.time.advance(1000)
    expect(states.last.kind === 'owned' && states.last.lease.key).to.equal('10.5.1.0-24')
  })

  describe('with a subnet that is wanted', () => {
    const wanted = { subnets: { subnet: cidr4('10.5.3.0/24'), subnet6: undefined }, mayRenumber: true }
    const key = () => states.last.kind === 'owned' && states.last.lease.key

    it('moves there at start, which is no conflict', () => {
      hold({ wanted, saved: held() })
      expect(kinds(states)).to.deep.equal(['unsure', 'owned'])
      expect(key()).to.equal('10.5.3.0-24')
    })

    it('waits for it where it has no other', () => {
      leasing.store.put('10.5.3.0-24', valueOf(9), '0')
      hold({ wanted })
      leasing.time.advance(5000)
      expect(states.last.kind === 'acquiring' && states.last.fault?.code).to.equal('lease-conflict')
      leasing.store.delete('10.5.3.0-24')
      leasing.time.advance(30_000)
      expect(key()).to.equal('10.5.3.0-24')
    })

    it('keeps the one that it has, and stays there when the wanted one comes free', () => {
      leasing.store.put('10.5.3.0-24', valueOf(9), '0')
      hold({ wanted, saved: held() })
      expect(key()).to.equal('10.5.2.0-24')
      leasing.store.delete('10.5.3.0-24')
      leasing.store.expire('1000')
      leasing.time.advance(60_000)
      expect(key()).to.equal('10.5.2.0-24')
      expect(states.last.kind === 'owned' && states.last.lease.instead?.message).to.match(/free now/)
    })

    it('claims it again and again when another host gets it, whatever --on-conflict says', () => {
      hold({ wanted })
      leasing.store.delete('10.5.3.0-24')
      leasing.store.put('10.5.3.0-24', valueOf(9), '0')
      leasing.time.advance(5000)
      expect(states.last.kind).to.equal('conflict')
      leasing.store.delete('10.5.3.0-24')
      leasing.time.advance(60_000)
      expect(key()).to.equal('10.5.3.0-24')
    })

    for (const saved of [undefined, held()])
      it(`ends if so told, ${saved ? 'though it has another' : 'where it has none'}`, () => {
        leasing.store.put('10.5.3.0-24', valueOf(9), '0')
        hold({ wanted, saved, onConflict: 'exit' })
        expect(states.error)
          .to.be.an('error')
          .and.to.have.property('message')
          .that.matches(/10\.5\.3\.0\/24/)
      })
  })
})
