import { expect } from 'chai'
import { Etcd3 } from 'etcd3'
import { openLeaseStore } from '../../../src/adapters/etcd/store.ts'
import type { LeaseStore } from '../../../src/ports/lease-store.ts'
import { Etcd } from '../../support/etcd.ts'
import { TcpProxy } from '../../support/tcp-proxy.ts'
import { Collected, CollectedRecords, shown } from './collected.ts'

const prefix = '/test/network'
const key = (name: string) => `${prefix}/subnets/${name}`
const numbered = (count: number, from = 0) =>
  Array.from({ length: count }, (_, index) => String(from + index))

describe('records$ of the etcd lease store', function () {
  this.timeout(30_000)
  let etcd: Etcd
  let proxy: TcpProxy
  let writer: Etcd3
  let store: LeaseStore & { close(): void }

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
    proxy = await TcpProxy.open(etcd.port)
    store = openLeaseStore({ endpoints: proxy.url, prefix })
  })
  afterEach(() => {
    store.close()
    proxy.close()
  })

  /** Puts the numbers one after the other; a put that fails is repeated until it works. */
  const churn = async (values: readonly string[]) => {
    for (const value of values)
      for (;;) {
        const done = await writer
          .put(key('10.1.0.0-24'))
          .value(value)
          .exec()
          .then(
            () => true,
            () => false,
          )
        if (done) break
      }
  }
  const receivedAll = (records: CollectedRecords, values: readonly string[]) => {
    const last = `put 10.1.0.0-24=${values.at(-1) ?? ''}`
    return records.until(() => records.changes.includes(last))
  }
  const asPuts = (values: readonly string[]) => values.map((value) => `put 10.1.0.0-24=${value}`)

  it('emits what is there, then every change in order', async () => {
    await writer.put(key('10.1.1.0-24')).value('old')
    const records = new CollectedRecords(store.records$)
    await records.connected()
    await writer.put(key('10.1.2.0-24')).value('new')
    await writer.delete().key(key('10.1.1.0-24'))
    await writer.put(key('10.1.2.0-24')).value('newer')
    await records.until(() => records.changes.length === 3)
    expect(records.snapshots.map(shown)).to.deep.equal([['10.1.1.0-24=old']])
    expect(records.changes).to.deep.equal([
      'put 10.1.2.0-24=new',
      'delete 10.1.1.0-24',
      'put 10.1.2.0-24=newer',
    ])
  })

  it('carries revisions and the lease of a record', async () => {
    const lease = writer.lease(60, { autoKeepAlive: false })
    const leaseId = await lease.grant()
    const { header: created } = await writer.put(key('10.1.1.0-24')).value('a').lease(leaseId)
    const { header: modified } = await writer.put(key('10.1.1.0-24')).value('b').lease(leaseId)
    const records = new CollectedRecords(store.records$)
    await records.until(() => records.snapshots.length === 1)
    expect(records.snapshots[0]).to.deep.equal([
      {
        key: '10.1.1.0-24',
        value: 'b',
        createRevision: Number(created.revision),
        modRevision: Number(modified.revision),
        leaseId,
      },
    ])
    await lease.revoke()
  })

  it('ignores keys that only begin like the folder', async () => {
    const records = new CollectedRecords(store.records$)
    await records.connected()
    await writer.put(`${prefix}/subnets-of-others`).value('x')
    await writer.put(key('10.1.9.0-24')).value('mine')
    await records.until(() => records.changes.length > 0)
    expect(records.changes).to.deep.equal(['put 10.1.9.0-24=mine'])
  })

  it('loses nothing and repeats nothing when the wire is cut again and again while it catches up', async () => {
    const records = new CollectedRecords(store.records$)
    await records.connected()
    proxy.refuse = true
    proxy.cut()
    const values = numbered(1000)
    await churn(values)
    let budget = 0
    let cuts = 0
    proxy.onAnswer = (chunk) => {
      budget += chunk.length
      if (cuts === 4 || budget < 20_000) return 'pass'
      budget = 0
      cuts++
      return 'cut'
    }
    proxy.refuse = false
    await receivedAll(records, values)
    expect(cuts).to.be.greaterThan(1)
    expect(records.changes).to.deep.equal(asPuts(values))
    expect(records.snapshots).to.have.length(1)
  })

  it('resumes after etcd was killed and started again', async () => {
    const records = new CollectedRecords(store.records$)
    await records.connected()
    const values = numbered(400)
    const writing = churn(values)
    await receivedAll(records, values.slice(0, 100))
    await etcd.kill()
    await etcd.restart()
    await writing
    await receivedAll(records, values)
    // A put whose answer was lost is made twice, so that values can repeat; revisions can't.
    expect([...new Set(records.changes)]).to.deep.equal(asPuts(values))
    expect(records.revisions).to.deep.equal([...new Set(records.revisions)].sort((a, b) => a - b))
    expect(records.snapshots).to.have.length(1)
  })

  it('lists again when the missed history was compacted', async () => {
    await writer.put(key('10.1.1.0-24')).value('goes')
    const records = new CollectedRecords(store.records$)
    await records.connected()
    proxy.refuse = true
    proxy.cut()
    await records.until(() => records.states.includes('disconnected'))
    await writer.delete().key(key('10.1.1.0-24'))
    await writer.put(key('10.1.2.0-24')).value('comes')
    await etcd.compact()
    proxy.refuse = false
    await records.until(() => records.snapshots.length === 2)
    await writer.put(key('10.1.3.0-24')).value('after')
    await records.until(() => records.changes.length > 0)
    expect(records.snapshots[1] && shown(records.snapshots[1])).to.deep.equal(['10.1.2.0-24=comes'])
    expect(records.changes).to.deep.equal(['put 10.1.3.0-24=after'])
  })

  it('lists again instead of catching up with thousands of revisions', async () => {
    const records = new CollectedRecords(store.records$)
    await records.connected()
    proxy.refuse = true
    proxy.cut()
    await records.until(() => records.states.includes('disconnected'))
    for (let batch = 0; batch < 10; batch++)
      await Promise.all(numbered(310).map((value) => writer.put(key('10.1.1.0-24')).value(value).exec()))
    proxy.refuse = false
    await records.until(() => records.snapshots.length === 2)
    expect(records.changes).to.deep.equal([])
  })

  it('lists again when etcd has lost its data', async () => {
    await churn(numbered(20))
    const records = new CollectedRecords(store.records$)
    await records.connected()
    await etcd.wipe()
    await records.until(() => records.snapshots.length === 2)
    await churn(['first'])
    await receivedAll(records, ['first'])
    expect(records.snapshots[1]).to.deep.equal([])
  })

  it('reads more than one page at one revision', async () => {
    const names = numbered(12_000, 100_000)
    for (let start = 0; start < names.length; start += 100)
      await names
        .slice(start, start + 100)
        .reduce(
          (all, name) => all.and(key(name), 'Create', '==', 0),
          writer.if(key('none'), 'Create', '==', 0),
        )
        .then(...names.slice(start, start + 100).map((name) => writer.put(key(name)).value('v')))
        .commit()
    const records = new CollectedRecords(store.records$)
    await records.until(() => records.snapshots.length === 1)
    expect(records.snapshots[0]?.map((record) => record.key)).to.deep.equal(names)
  })

  it('is silent towards those who have unsubscribed, and goes on for the others', async () => {
    const [left, stayed] = [new CollectedRecords(store.records$), new CollectedRecords(store.records$)]
    await Promise.all([left.connected(), stayed.connected()])
    left.stop()
    await churn(['1'])
    await receivedAll(stayed, ['1'])
    expect(left.changes).to.deep.equal([])
    expect(stayed.states).to.deep.equal(['connected'])
  })

  it('completes when the store is closed', async () => {
    const records = new CollectedRecords(store.records$)
    await records.connected()
    store.close()
    expect(records.isComplete).to.equal(true)
  })

  describe('config$', () => {
    it('emits the absence, the value, each change and the deletion', async () => {
      const config = new Collected(store.config$)
      await config.until((events) => events.some(({ kind }) => kind === 'connected'))
      await writer.put(`${prefix}/config`).value('{"Network":"10.1.0.0/16"}')
      await config.until((events) => events.length === 3)
      await writer.delete().key(`${prefix}/config`)
      await config.until((events) => events.length === 4)
      const values = config.events.flatMap((event) => (event.kind === 'value' ? [event.value?.value] : []))
      expect(values).to.deep.equal([undefined, '{"Network":"10.1.0.0/16"}', undefined])
    })
  })
})
