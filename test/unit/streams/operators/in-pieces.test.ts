import { expect } from 'chai'
import { Subject } from 'rxjs'
import { Fault } from '../../../../src/core/fault.ts'
import type { RecordChange, RecordEvent, StoreEvent } from '../../../../src/ports/lease-store.ts'
import { inPieces } from '../../../../src/streams/operators/in-pieces.ts'
import { VirtualTime } from '../../../support/virtual-time.ts'

const deletes = (...keys: readonly string[]): StoreEvent<RecordEvent> => ({
  kind: 'value',
  revision: 7,
  value: { kind: 'changes', changes: keys.map((key): RecordChange => ({ kind: 'delete', key })) },
})
const summary = (event: StoreEvent<RecordEvent>): string => {
  if (event.kind !== 'value') return event.kind
  const { value, revision } = event
  if (value.kind === 'snapshot') return `${value.records.length} records`
  return `${value.changes.map((change) => (change.kind === 'delete' ? change.key : '')).join('')} ${revision}`
}

describe('inPieces', () => {
  let time: VirtualTime
  let events$: Subject<StoreEvent<RecordEvent>>
  let seen: string[]
  beforeEach(() => {
    time = new VirtualTime()
    events$ = new Subject()
    seen = []
    events$.pipe(inPieces(2)).subscribe({
      next: (event) => seen.push(summary(event)),
      error: (error: unknown) => expect.fail(String(error)),
    })
  })
  afterEach(() => time.end())

  it('hands on at once what is small, and what is no change', () => {
    events$.next(deletes('a', 'b'))
    events$.next({ kind: 'value', revision: 8, value: { kind: 'snapshot', records: [] } })
    events$.next({ kind: 'connected' })
    expect(seen).to.deep.equal(['ab 7', '0 records', 'connected'])
  })

  it('gives each piece of a burst a turn of its own, and keeps the order of all that follows', () => {
    events$.next(deletes('a', 'b', 'c', 'd', 'e'))
    events$.next({ kind: 'disconnected', fault: Fault.of('etcd-unreachable') })
    events$.next(deletes('f'))
    expect(seen).to.deep.equal([])
    time.advance(1)
    expect(seen).to.deep.equal(['ab 7', 'cd 7', 'e 7', 'disconnected', 'f 7'])
  })
})
