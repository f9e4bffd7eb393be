import { expect } from 'chai'
import { Etcd3 } from 'etcd3'
import { openLeaseStore } from '../../../src/adapters/etcd/store.ts'
import type { LeaseStore, RecordEvent, StoreEvent } from '../../../src/ports/lease-store.ts'
import { Etcd } from '../../support/etcd.ts'
import { CollectedRecords, shown } from './collected.ts'

const prefix = '/test/network'
const key = (name: string) => `${prefix}/subnets/${name}`

const isAudit = (event: StoreEvent<RecordEvent>): boolean =>
  event.kind === 'value' && event.value.kind === 'snapshot' && event.value.audit === true

/** What a consumer ends up with. */
const replayed = (events: readonly StoreEvent<RecordEvent>[]): ReadonlyMap<string, string> => {
  const held = new Map<string, string>()
  for (const event of events) {
    if (event.kind !== 'value') continue
    if (event.value.kind === 'snapshot') {
      held.clear()
      for (const record of event.value.records) held.set(record.key, record.value)
    } else
      for (const change of event.value.changes)
        if (change.kind === 'put') held.set(change.record.key, change.record.value)
        else held.delete(change.key)
  }
  return held
}

describe('the audit of the etcd lease store', function () {
  this.timeout(30_000)
  let etcd: Etcd
  let writer: Etcd3
  let store: LeaseStore & { close(): void }
  let records: CollectedRecords
  const audits = () => records.events.filter(isAudit).length

  before(async () => {
    etcd = await Etcd.start()
    writer = new Etcd3({ hosts: etcd.url })
  })
  after(async () => {
    writer.close()
    await etcd.stop()
  })
  beforeEach(async () => {
    await writer.delete().prefix(prefix)
    await writer.put(key('10.1.1.0-24')).value('old')
    store = openLeaseStore({ endpoints: etcd.url, prefix, auditMs: 100 })
    records = new CollectedRecords(store.records$)
    await records.connected()
  })
  afterEach(() => store.close())

  it('is a list that says that it is one, again and again, and no loss of the connection', async () => {
    await records.until(() => audits() === 3)
    expect(isAudit(records.events[0] ?? { kind: 'connected' })).to.equal(false)
    expect(records.snapshots.map(shown)).to.deep.equal(Array.from({ length: 4 }, () => ['10.1.1.0-24=old']))
    expect(records.states).to.deep.equal(['connected'])
    expect(records.changes).to.deep.equal([])
  })

  it('loses no change around it, and tells none twice', async () => {
    const names = Array.from({ length: 400 }, (_, i) => `10.2.${i % 200}.0-24`)
    for (const [i, name] of names.entries()) await writer.put(key(name)).value(String(i))
    await writer.put(key('10.3.0.0-24')).value('last')
    await records.until((events) => replayed(events).has('10.3.0.0-24'))
    expect(audits()).to.be.above(1)
    const held = await writer.getAll().prefix(key('')).strings()
    const below = Object.entries(held).map(([name, value]) => [name.slice(key('').length), value] as const)
    expect([...replayed(records.events)].sort()).to.deep.equal(below.sort())
    const { revisions } = records
    expect(revisions).to.deep.equal([...new Set(revisions)].sort((a, b) => a - b))
    expect(records.states).to.deep.equal(['connected'])
  })
})
