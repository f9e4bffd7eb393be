import { expect } from 'chai'
import { Subject } from 'rxjs'
import { MemoryHost } from '../../../src/adapters/memory/host.ts'
import { Fault } from '../../../src/core/fault.ts'
import { Forwarding } from '../../../src/core/forwarding.ts'
import { removalDefaults } from '../../../src/core/overlay/removal.ts'
import type { RecordEvent, StoredRecord } from '../../../src/core/overlay/record.ts'
import { Millis } from '../../../src/core/time.ts'
import type { StoreEvent } from '../../../src/ports/lease-store.ts'
import { startingAgent, reduceAgent } from '../../../src/streams/agent-state.ts'
import { rememberLastPeers$, rememberPeers$, type Upkeep } from '../../../src/streams/remember.ts'
import { VirtualTime } from '../../support/virtual-time.ts'
import { me, recordOf } from '../core/overlay/fixtures.ts'

const full = Fault.of('state-unwritable', 'peers.json: no space left on device')

describe('rememberPeers$', () => {
  let time: VirtualTime
  let forwarding: Forwarding
  let host: MemoryHost
  let told: Upkeep[]
  let stop: () => void
  const records$ = new Subject<StoreEvent<RecordEvent>>()
  beforeEach(() => {
    time = new VirtualTime()
    host = new MemoryHost('me', me.ipv4.vtepMac)
    told = []
    forwarding = new Forwarding({
      ...{ resolve: 'eager', maxNeighbours: 1, idle: Millis.of(0), removal: removalDefaults },
    })
    const running = rememberPeers$({ host, clock: time.clock }, forwarding, records$).subscribe({
      next: (upkeep) => told.push(upkeep),
      error: (error: unknown) => expect.fail(String(error)),
    })
    stop = () => running.unsubscribe()
  })
  afterEach(() => {
    stop()
    time.end()
  })

  /** etcd has these records, and says so. */
  const snapshot = (...records: readonly StoredRecord[]) => {
    const value: RecordEvent = { kind: 'snapshot', records }
    forwarding.records(value, 9, time.clock.now())
    records$.next({ kind: 'value', value, revision: 9 })
  }

  it('writes the first change at once, and those that follow once a second', () => {
    snapshot(recordOf(2))
    expect(host.peers).to.deep.equal([recordOf(2)])
    snapshot(recordOf(2), recordOf(3))
    time.advance(999)
    expect(host.peers).to.deep.equal([recordOf(2)])
    time.advance(1)
    expect(host.peers).to.deep.equal([recordOf(2), recordOf(3)])
    expect(told).to.deep.equal([{ of: 'peers', fault: undefined }])
  })

  it('tells of a disk that is full, tries again less and less often, and tells when it is over', () => {
    host.unwritable = full
    snapshot(recordOf(2))
    expect(told).to.deep.equal([{ of: 'peers', fault: full }])
    time.advance(1000)
    snapshot(recordOf(2), recordOf(3))
    host.unwritable = undefined
    time.advance(2999)
    expect(host.peers).to.deep.equal([])
    time.advance(1)
    expect(host.peers, 'what is known by now').to.deep.equal([recordOf(2), recordOf(3)])
    expect(told.at(-1)).to.deep.equal({ of: 'peers', fault: undefined })
  })

  it('is followed by one more write when the agent is told to stop', () => {
    snapshot(recordOf(2))
    snapshot(recordOf(2), recordOf(3))
    rememberLastPeers$(host, forwarding).subscribe()
    expect(host.peers).to.deep.equal([recordOf(2), recordOf(3)])
  })

  it('leaves the disk alone when the agent stops before etcd has answered', () => {
    host.peers = [recordOf(2)]
    rememberLastPeers$(host, forwarding).subscribe()
    expect(host.peers).to.deep.equal([recordOf(2)])
  })
})

describe('reduceAgent', () => {
  it('keeps what is wrong with one thing until that thing is well', () => {
    const after = (...upkeep: readonly Upkeep[]) =>
      upkeep.reduce((now, each) => reduceAgent(now, { kind: 'fault', ...each }, Millis.of(0)), startingAgent)
    const off = Fault.of('forwarding-off')
    const both = after({ of: 'peers', fault: full }, { of: 'forwarding of IPv4', fault: off })
    expect([...both.troubles.values()]).to.deep.equal([full, off])
    const one = reduceAgent(both, { kind: 'fault', of: 'peers', fault: undefined }, Millis.of(0))
    expect([...one.troubles.values()]).to.deep.equal([off])
    expect(one.faults.map(({ fault }) => fault)).to.deep.equal([full, off])
  })
})
