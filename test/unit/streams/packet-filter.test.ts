import { expect } from 'chai'
import { firstValueFrom, NEVER, of, Subject } from 'rxjs'
import { MemoryPacketFilter } from '../../../src/adapters/memory/packet-filter.ts'
import { Fault } from '../../../src/core/fault.ts'
import type { FilterSpec } from '../../../src/core/filter/masquerade.ts'
import { type NftObject, objectsOf, printCommand } from '../../../src/core/filter/nftables.ts'
import {
  clearFilter$,
  type FilterState,
  packetFilter$,
  planFilter$,
} from '../../../src/streams/packet-filter.ts'
import { VirtualTime } from '../../support/virtual-time.ts'
import { forwardChain, spec } from '../core/filter/fixtures.ts'

const own = { family: 'inet', name: 'tweed' }

describe('packetFilter$', () => {
  let time: VirtualTime
  let filter: MemoryPacketFilter
  let spec$: Subject<FilterSpec>
  let states: FilterState[]
  let stop: () => void

  beforeEach(() => {
    time = new VirtualTime()
    filter = new MemoryPacketFilter()
    spec$ = new Subject()
    states = []
    const keeping = packetFilter$({ filter, spec$, resyncMs: 60_000, random: () => 0 }).subscribe({
      next: (state) => states.push(state),
      error: (error: unknown) => expect.fail(String(error)),
    })
    stop = () => keeping.unsubscribe()
  })
  afterEach(() => {
    stop()
    time.end()
  })

  const want = (wanted: FilterSpec): void => {
    spec$.next(wanted)
    time.advance(500)
  }
  const writes = (): number =>
    states.filter((state) => state.kind === 'kept' && state.wrote.length > 0).length
  const codes = () => states.map(({ fault }) => fault?.code)
  const ours = (): readonly NftObject[] => objectsOf(filter.objects, own)

  it('makes the table once, and leaves it', () => {
    want(spec())
    time.advance(200_000)
    expect(ours()).to.have.length(7)
    expect(writes()).to.equal(1)
    expect(states.at(-1)).to.include({ kind: 'kept', fault: undefined })
  })

  it('writes nothing where it stands already', () => {
    want(spec())
    stop()
    states.length = 0
    packetFilter$({ filter, spec$, resyncMs: 60_000, random: () => 0 }).subscribe({
      next: (state) => states.push(state),
      error: (error: unknown) => expect.fail(String(error)),
    })
    want(spec())
    expect(states).to.have.length(1)
    expect(writes()).to.equal(0)
  })

  it('repairs at once what it hears of', () => {
    want(spec())
    filter.set([], 'own')
    time.advance(1)
    expect(ours()).to.have.length(7)
  })

  it('repairs by the timer what it does not hear of', () => {
    const deaf = new MemoryPacketFilter()
    const kept = packetFilter$({
      filter: {
        changes$: NEVER,
        readLegacy$: () => of([]),
        read$: () => deaf.read$(),
        apply$: (commands) => deaf.apply$(commands),
      },
      ...{ spec$, resyncMs: 60_000, random: () => 0 },
    }).subscribe({ error: (error: unknown) => expect.fail(String(error)) })
    want(spec())
    deaf.set([])
    time.advance(1000)
    expect(deaf.objects).to.have.length(0)
    time.advance(60_000)
    expect(deaf.objects).to.have.length(7)
    kept.unsubscribe()
  })

  it('looks once a second at most while others write without pause', () => {
    want(spec({ masquerade: false }))
    states.length = 0
    for (let i = 0; i < 100; i++) {
      filter.set([{ table: { family: 'ip', name: `t${String(i)}` } }])
      time.advance(50)
    }
    expect(states.length).to.be.within(2, 7)
  })

  it('follows what is wanted, and removes what is not any more', () => {
    want(spec())
    want(spec({ fullyRandom: false }))
    expect(writes()).to.equal(2)
    want(spec({ masquerade: false }))
    expect(ours()).to.deep.equal([])
  })

  it('tells of a chain that drops, until it does not', () => {
    want(spec({ masquerade: false }))
    filter.set([{ chain: forwardChain() }])
    time.advance(1000)
    filter.set([{ chain: forwardChain({ policy: 'accept' }) }])
    time.advance(2000)
    expect(codes()).to.deep.equal([undefined, 'forward-dropped', undefined])
  })

  it('tells of every failed try, and goes on', () => {
    filter.fault = Fault.of('kernel-denied')
    want(spec())
    expect(codes()).to.include('kernel-denied')
    filter.fault = undefined
    time.advance(60_000)
    expect(states.at(-1)?.kind).to.equal('kept')
    expect(ours()).to.have.length(7)
  })

  it('does without nft where nothing is wanted of it', () => {
    filter.fault = Fault.of('nft-missing')
    want(spec({ masquerade: false }))
    expect(codes()).to.deep.equal([undefined])
    want(spec())
    expect(codes().at(-1)).to.equal('nft-missing')
  })

  it('says so where the table does not stand after it was written', () => {
    const stubborn = packetFilter$({
      filter: {
        changes$: NEVER,
        readLegacy$: () => of([]),
        read$: () => filter.read$(),
        apply$: () => new MemoryPacketFilter().apply$([]),
      },
      ...{ spec$, resyncMs: 60_000, random: () => 0 },
    }).subscribe({
      next: (state) => states.push(state),
      error: (error: unknown) => expect.fail(String(error)),
    })
    stop()
    want(spec())
    expect(codes().at(-1)).to.equal('kernel-busy')
    stubborn.unsubscribe()
  })
})

describe('planFilter$ and clearFilter$', () => {
  it('plan without writing, and clear all of ours', async () => {
    const filter = new MemoryPacketFilter()
    const lines = await firstValueFrom(planFilter$(filter, spec()))
    expect(lines[0]).to.equal(printCommand({ add: { table: own } }))
    expect(filter.objects).to.deep.equal([])
    filter.set([{ table: own }, { chain: forwardChain() }])
    expect(await firstValueFrom(planFilter$(filter, spec({ masquerade: false })))).to.deep.equal([
      'nft add table inet tweed',
      'nft delete table inet tweed',
      '# chain FORWARD of table ip filter (policy drop) drops packets of 10.5.0.0/16; --forward-rules true would accept them',
    ])
    expect(await firstValueFrom(clearFilter$(filter))).to.equal(2)
    expect(filter.objects).to.have.length(1)
  })

  it('do without nft', async () => {
    const filter = new MemoryPacketFilter()
    filter.fault = Fault.of('nft-missing')
    expect(await firstValueFrom(clearFilter$(filter))).to.equal(0)
    expect(await firstValueFrom(planFilter$(filter, spec({ masquerade: false })))).to.deep.equal([])
    expect(await firstValueFrom(planFilter$(filter, spec()))).to.deep.equal([
      '# nft-missing: the program nft was not found',
    ])
  })
})
