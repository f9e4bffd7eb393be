import { expect } from 'chai'
import { NEVER, Subject } from 'rxjs'
import { MemoryLeaseStore } from '../../../src/adapters/memory/lease-store.ts'
import { Fault } from '../../../src/core/fault.ts'
import { adopt, network$, type NetworkState, type Stake } from '../../../src/streams/network.ts'
import type { LeaseStore, StoredConfig } from '../../../src/ports/lease-store.ts'
import { VirtualTime } from '../../support/virtual-time.ts'
import { cidr4 } from '../core/overlay/fixtures.ts'

const nothing: NetworkState = { kind: 'none', fault: Fault.of('config-missing') }
const lease = { subnet: cidr4('10.5.1.0/24'), subnet6: undefined }
const stored = (change: object = {}, modRevision = 5): StoredConfig => ({
  value: JSON.stringify({ Network: '10.5.0.0/16', Backend: { Type: 'vxlan' }, ...change }),
  modRevision,
})
const stake: Stake = { lease, onConfigChange: 'hold' }
const inForce = adopt(nothing, stored())

/** What is in force, whether it is what etcd holds, and what is wrong with that. */
const summary = (state: NetworkState | undefined) =>
  state?.kind === 'network'
    ? [state.network.stored.modRevision, state.network.current, state.network.fault?.code]
    : ['none', state?.fault.code]

describe('adopt', () => {
  it('takes the first good configuration', () => {
    expect(summary(inForce)).to.deep.equal([5, true, undefined])
  })

  it('waits where there is none, or none that could be used', () => {
    expect(summary(adopt(nothing, undefined))).to.deep.equal(['none', 'config-missing'])
    for (const bad of [{ value: 'garbage', modRevision: 6 }, stored({ Network: undefined })])
      expect(summary(adopt(nothing, bad)), bad.value).to.deep.equal(['none', 'config-invalid'])
  })

  it('adopts a change under which the own subnet and the device stay', () => {
    for (const change of [
      { Network: '10.4.0.0/14' },
      { SubnetMin: '10.5.0.0' },
      { Backend: { Type: 'vxlan', MTU: 1400 } },
      { Backend: { Type: 'vxlan', DirectRouting: true } },
      { Backend: { Type: 'vxlan', Learning: true } },
    ])
      expect(summary(adopt(inForce, stored(change, 6), stake)), JSON.stringify(change)).to.deep.equal([
        6,
        true,
        undefined,
      ])
  })

  it('announces a change that containers would notice, names it, and keeps the old one in force', () => {
    const state = adopt(
      inForce,
      stored({ Network: '10.6.0.0/16', Backend: { Type: 'vxlan', VNI: 7 } }, 6),
      stake,
    )
    expect(summary(state)).to.deep.equal([5, false, 'config-announced'])
    const announced = state.kind === 'network' ? state.network.announced : undefined
    expect(announced?.fields).to.deep.equal(['Network', 'Backend.VNI'])
    expect(announced?.stored.modRevision).to.equal(6)
    expect(state.kind === 'network' && state.network.fault?.message).to.match(
      /^Network, Backend\.VNI changed/,
    )
  })

  it('adopts it at once where the operator said so beforehand', () => {
    const atOnce: Stake = { lease, onConfigChange: 'renumber' }
    const state = adopt(inForce, stored({ Network: '10.6.0.0/16' }, 6), atOnce)
    expect(summary(state)).to.deep.equal([6, true, undefined])
  })

  it('withdraws what it announced when the old value, garbage or nothing follows', () => {
    const announced = adopt(inForce, stored({ Network: '10.6.0.0/16' }, 6), stake)
    for (const next of [stored({}, 7), { value: '{', modRevision: 7 }, undefined]) {
      const state = adopt(announced, next, stake)
      expect(state.kind === 'network' && state.network.announced, JSON.stringify(next)).to.equal(undefined)
    }
  })

  it('adopts anything while no subnet is held', () => {
    expect(summary(adopt(inForce, stored({ Network: '10.6.0.0/16' }, 6)))).to.deep.equal([6, true, undefined])
  })

  it('keeps the old one through garbage and deletion, and is well again with the next good one', () => {
    const garbage = adopt(inForce, { value: '{', modRevision: 6 }, stake)
    expect(summary(garbage)).to.deep.equal([5, false, 'config-invalid'])
    const deleted = adopt(garbage, undefined, stake)
    expect(summary(deleted)).to.deep.equal([5, false, 'config-missing'])
    expect(summary(adopt(deleted, stored({}, 9), stake))).to.deep.equal([9, true, undefined])
  })
})

describe('network$', () => {
  let time: VirtualTime
  let store: MemoryLeaseStore
  beforeEach(() => {
    time = new VirtualTime()
    store = new MemoryLeaseStore()
  })
  afterEach(() => time.end())

  const follow = (saved?: StoredConfig, from: Pick<LeaseStore, 'config$'> = store) => {
    const orders$ = new Subject<void>()
    const states: NetworkState[] = []
    const following = network$({
      store: from,
      saved,
      lease: () => lease,
      onConfigChange: 'hold',
      renumber$: orders$,
    }).subscribe({
      next: (state) => states.push(state),
      error: (error: unknown) => expect.fail(String(error)),
    })
    return { states, following, orders$ }
  }

  it('follows what etcd holds', () => {
    const { states, following } = follow()
    time.advance(10)
    store.writeConfig(stored().value)
    time.advance(10)
    store.writeConfig('garbage')
    time.advance(10)
    expect(states.map(summary)).to.deep.equal([
      ['none', 'config-missing'],
      [2, true, undefined],
      [2, false, 'config-invalid'],
    ])
    following.unsubscribe()
  })

  it('takes that of the last run before etcd has said anything, and etcd’s when it speaks', () => {
    store.writeConfig(stored({ SubnetMin: '10.5.0.0' }).value)
    store.disconnect()
    const { states, following } = follow(stored({}, 1))
    expect(states.map(summary)).to.deep.equal([[1, true, undefined]])
    time.advance(10)
    store.connect()
    time.advance(10)
    expect(states.map(summary).slice(1)).to.deep.equal([[2, true, undefined]])
    following.unsubscribe()
  })

  it('has nothing to begin with where the last run left garbage', () => {
    const { states, following } = follow({ value: '{', modRevision: 1 }, { config$: NEVER })
    time.advance(10_000)
    expect(states).to.deep.equal([])
    following.unsubscribe()
  })

  it('goes on after a restart with the network of the last run, announces the new one, and adopts it when told', () => {
    store.writeConfig(stored({ Network: '10.6.0.0/16' }).value)
    const { states, following, orders$ } = follow(stored({}, 1))
    time.advance(10)
    expect(states.map(summary)).to.deep.equal([
      [1, true, undefined],
      [1, false, 'config-announced'],
    ])
    orders$.next()
    expect(summary(states.at(-1))).to.deep.equal([2, true, undefined])
    orders$.next()
    expect(summary(states.at(-1))).to.deep.equal([2, true, undefined])
    following.unsubscribe()
  })
})
