import { expect } from 'chai'
import { Etcd3 } from 'etcd3'
import { firstValueFrom } from 'rxjs'
import { openLeaseStore } from '../../../src/adapters/etcd/store.ts'
import { Fault } from '../../../src/core/fault.ts'
import type { LeaseStore } from '../../../src/ports/lease-store.ts'
import { Etcd, type EtcdMember } from '../../support/etcd.ts'
import { eventually } from '../../support/process.ts'
import { TcpProxy } from '../../support/tcp-proxy.ts'
import { CollectedRecords } from './collected.ts'

const prefix = '/test/network'
const key = `${prefix}/subnets/10.1.1.0-24`

const faultsOf = (records: CollectedRecords) =>
  records.events.flatMap((event) => (event.kind === 'disconnected' ? [event.fault] : []))

const putUntilDone = async (url: string, value: string) => {
  const client = new Etcd3({ hosts: url, defaultCallOptions: () => ({ deadline: Date.now() + 1000 }) })
  for (;;) {
    const done = await client
      .put(key)
      .value(value)
      .exec()
      .then(
        () => true,
        () => false,
      )
    if (!done) continue
    client.close()
    return
  }
}

describe('the etcd lease store, when etcd is in trouble', function () {
  this.timeout(40_000)
  let store: LeaseStore & { close(): void }
  afterEach(() => {
    store.close()
  })

  describe('with one member', () => {
    let etcd: Etcd
    let proxy: TcpProxy
    before(async () => {
      etcd = await Etcd.start()
    })
    after(() => etcd.stop())
    beforeEach(async () => {
      proxy = await TcpProxy.open(etcd.port)
      store = openLeaseStore({ endpoints: proxy.url, prefix })
    })
    afterEach(() => {
      proxy.close()
    })

    it('says disconnected once, then connected once, and does not storm', async () => {
      const records = new CollectedRecords(store.records$)
      await records.connected()
      const before = proxy.accepted
      proxy.refuse = true
      proxy.cut()
      await new Promise((resolve) => setTimeout(resolve, 6000)) // the rate is what is asked about
      const attempts = proxy.accepted - before
      proxy.refuse = false
      await records.connected(2)
      expect(records.states).to.deep.equal(['connected', 'disconnected', 'connected'])
      expect(attempts).to.be.within(2, 12)
      expect(records.snapshots).to.have.length(1)
    })

    it('says why, in the words of the network', async () => {
      const records = new CollectedRecords(store.records$)
      await records.connected()
      proxy.close()
      await records.until(() => records.states.includes('disconnected'))
      const error: unknown = await firstValueFrom(store.read$()).catch((error: unknown) => error)
      expect(error).to.include({ kind: 'fault', code: 'etcd-unreachable', transient: true })
      expect(Fault.is(error) && error.message).to.match(/ECONNREFUSED/)
      expect(faultsOf(records)[0]).to.include({ code: 'etcd-unreachable' })
    })

    it('starts while etcd cannot be reached, and connects later', async () => {
      proxy.refuse = true
      const records = new CollectedRecords(store.records$)
      await records.until(() => records.states.includes('disconnected'))
      proxy.refuse = false
      await records.connected()
      expect(records.snapshots).to.have.length(1)
    })

    it('leaves a connection that was accepted and never answered, once new ones work', async () => {
      proxy.silent = true
      const records = new CollectedRecords(store.records$)
      await records.until(() => records.states.includes('disconnected'))
      expect(faultsOf(records)[0]?.code).to.equal('etcd-unreachable')
      await eventually('a third attempt', () => (proxy.accepted >= 3 ? true : undefined), 20_000)
      await eventually('the end of the mute connections', () => (proxy.open <= 1 ? true : undefined))
      proxy.silent = false
      await records.connected()
      expect(await firstValueFrom(store.keepAlive$(await firstValueFrom(store.grant$(60))))).to.equal(60)
    })
  })

  describe('with three members', () => {
    let cluster: Etcd
    let proxies: readonly TcpProxy[]
    before(async () => {
      cluster = await Etcd.start({ members: 3 })
    })
    after(() => cluster.stop())
    beforeEach(async () => {
      proxies = await Promise.all(cluster.members.map(({ port }) => TcpProxy.open(port)))
      store = openLeaseStore({ endpoints: proxies.map(({ url }) => url), prefix })
    })
    afterEach(() => {
      for (const proxy of proxies) proxy.close()
      cluster.resume()
    })

    const attached = (): { readonly member: EtcdMember; readonly others: readonly EtcdMember[] } => {
      const index = proxies.findIndex(({ accepted }) => accepted > 0)
      const member = cluster.members[index]
      if (!member) throw new Error('not connected')
      return { member, others: cluster.members.filter((each) => each !== member) }
    }

    it('goes on with another member when its own hangs', async () => {
      const records = new CollectedRecords(store.records$)
      await records.connected()
      const { member, others } = attached()
      member.pause()
      await putUntilDone(others[0]?.url ?? '', 'seen')
      await records.until(() => records.changes.length > 0)
      expect([...new Set(records.changes)]).to.deep.equal(['put 10.1.1.0-24=seen'])
      expect(records.states).to.deep.equal(['connected', 'disconnected', 'connected'])
      expect(records.snapshots).to.have.length(1)
    })

    it('hears of a lost quorum from the member that it watches', async () => {
      const records = new CollectedRecords(store.records$)
      await records.connected()
      const { member, others } = attached()
      for (const other of others) other.pause()
      await records.until(() => records.states.includes('disconnected'))
      expect(faultsOf(records).map(({ code, transient }) => ({ code, transient }))).to.deep.equal([
        { code: 'etcd-no-leader', transient: true },
      ])
      cluster.resume()
      await putUntilDone(member.url, 'back')
      await records.until(() => records.changes.includes('put 10.1.1.0-24=back'))
    })
  })
})
