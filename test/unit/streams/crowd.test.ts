import { expect } from 'chai'
import { map, Subject } from 'rxjs'
import { MemoryLeaseStore } from '../../../src/adapters/memory/lease-store.ts'
import type { LeaseStore } from '../../../src/ports/lease-store.ts'
import { afterTables, crowdDelayMs } from '../../../src/streams/crowd.ts'
import { VirtualTime } from '../../support/virtual-time.ts'
import { Followed } from './leasing.ts'

const minuteMs = 60_000

describe('crowdDelayMs', () => {
  const delay = (more: Partial<Parameters<typeof crowdDelayMs>[0]>) =>
    crowdDelayMs({ uptimeMs: 0, peers: 1000, random: 0.5, ...more })

  it('is spread over 60 ms for each peer', () => {
    expect(delay({ peers: 1 })).to.equal(30)
    expect(delay({ peers: 100 })).to.equal(3000)
    expect(delay({ peers: 100, random: 0 })).to.equal(0)
    expect(delay({ peers: 100, random: 0.999 })).to.be.closeTo(5994, 0.1)
  })
  it('is a minute at most', () => {
    expect(delay({ peers: 1000, random: 1 })).to.equal(minuteMs)
    expect(delay({ peers: 10_000, random: 1 })).to.equal(minuteMs)
  })
  it('is nothing for a host that knows no peers', () => {
    expect(delay({ peers: 0 })).to.equal(0)
  })
  it('is nothing on a machine that has been up for more than five minutes: only the agent was restarted', () => {
    expect(delay({ uptimeMs: 5 * minuteMs })).to.be.above(0)
    expect(delay({ uptimeMs: 5 * minuteMs + 1 })).to.equal(0)
  })
})

describe('afterTables', () => {
  let time: VirtualTime
  let etcd: MemoryLeaseStore
  let placed$: Subject<void>
  let store: LeaseStore

  beforeEach(() => {
    time = new VirtualTime()
    etcd = new MemoryLeaseStore()
    etcd.writeConfig('{}')
    placed$ = new Subject()
    store = afterTables(etcd, { placed$, delayMs: 1000 })
  })
  afterEach(() => time.end())

  const reads = (): Followed<string> =>
    new Followed(store.read$().pipe(map(({ config }) => config?.value ?? '')))

  it('asks etcd nothing before the tables are in place, and then at once without a delay', () => {
    store = afterTables(etcd, { placed$, delayMs: 0 })
    const read = reads()
    time.advance(1900)
    expect(read.values).to.deep.equal([])
    placed$.next()
    expect(read.values, 'in a turn of its own').to.deep.equal([])
    time.advance(5)
    expect(read.values).to.deep.equal(['{}'])
  })
  it('waits two seconds for the tables, and no longer', () => {
    store = afterTables(etcd, { placed$, delayMs: 0 })
    const read = reads()
    time.advance(1999)
    expect(read.values).to.deep.equal([])
    time.advance(6)
    expect(read.values).to.deep.equal(['{}'])
  })
  it('lets the first asks wait for the delay', () => {
    const [read, records, config] = [reads(), new Followed(store.records$), new Followed(store.config$)]
    placed$.next()
    time.advance(999)
    expect([read.values, records.values, config.values]).to.deep.equal([[], [], []])
    time.advance(10)
    expect(read.values).to.deep.equal(['{}'])
    expect(records.values).not.to.deep.equal([])
    expect(config.values).not.to.deep.equal([])
    records.stop()
    config.stop()
  })
  it('lets later asks wait no more', () => {
    reads()
    placed$.next()
    time.advance(1010)
    const later = reads()
    time.advance(5)
    expect(later.values).to.deep.equal(['{}'])
  })
  it('counts from the tables, whoever asked', () => {
    reads()
    placed$.next()
    time.advance(600)
    const second = reads()
    time.advance(410)
    expect(second.values).to.deep.equal(['{}'])
  })
  it('tells the state at the end of the delay, not that of its beginning', () => {
    const read = reads()
    placed$.next()
    etcd.writeConfig('{"later":1}')
    time.advance(1010)
    expect(read.values).to.deep.equal(['{"later":1}'])
  })
  it('asks nothing for whoever has gone meanwhile', () => {
    const read = reads()
    placed$.next()
    time.advance(500)
    read.stop()
    time.advance(1000)
    expect(read.values).to.deep.equal([])
  })
  it('delays neither leases nor claims: they follow a read', () => {
    const granted = new Followed(store.grant$(60))
    time.advance(5)
    expect(granted.values).to.have.length(1)
  })
})
