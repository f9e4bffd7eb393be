import { expect } from 'chai'
import { Etcd3 } from 'etcd3'
import { firstValueFrom } from 'rxjs'
import { openLeaseStore } from '../../../src/adapters/etcd/store.ts'
import type { LeaseStore } from '../../../src/ports/lease-store.ts'
import { Etcd } from '../../support/etcd.ts'
import { eventually } from '../../support/process.ts'
import { TcpProxy } from '../../support/tcp-proxy.ts'

const prefix = '/test/network'
const key = '10.1.1.0-24'
const path = `${prefix}/subnets/${key}`

describe('claims and leases of the etcd lease store', function () {
  this.timeout(20_000)
  let etcd: Etcd
  let direct: Etcd3
  let proxy: TcpProxy
  let store: LeaseStore & { close(): void }

  before(async () => {
    etcd = await Etcd.start()
    direct = new Etcd3({ hosts: etcd.url })
  })
  after(async () => {
    direct.close()
    await etcd.stop()
  })
  beforeEach(async () => {
    await direct.delete().prefix(prefix)
    proxy = await TcpProxy.open(etcd.port)
    store = openLeaseStore({ endpoints: proxy.url, prefix })
  })
  afterEach(() => {
    store.close()
    proxy.close()
  })

  const grant = () => firstValueFrom(store.grant$(60))
  const fresh = (value: string, leaseId: string) => ({
    key,
    value,
    leaseId,
    modRevision: 0,
    configRevision: undefined,
  })
  const claim = (value: string, leaseId: string) => firstValueFrom(store.claim$(fresh(value, leaseId)))
  const stored = async () => (await direct.get(path).exec()).kvs[0]

  /** Loses every answer to the request until its effect is seen, then cuts the wire. */
  const loseAnswer = async <T>(request: Promise<T>, effect: () => Promise<boolean>): Promise<T> => {
    proxy.onAnswer = () => 'drop'
    await eventually('the effect of the request', async () => ((await effect()) ? true : undefined))
    proxy.onAnswer = undefined
    proxy.cut()
    return request
  }

  describe('claim$', () => {
    it('lets exactly one of fifty win', async () => {
      const leaseId = await grant()
      const claims = Array.from({ length: 50 }, (_, host) => claim(`host ${host}`, leaseId))
      const results = await Promise.all(claims)
      const winners = results.flatMap(({ kind }, host) => (kind === 'claimed' ? [`host ${host}`] : []))
      const kv = await stored()
      expect(winners).to.deep.equal([kv?.value.toString()])
      const holders = results.flatMap((result) => (result.kind === 'taken' ? [result.record?.value] : []))
      expect(new Set(holders)).to.deep.equal(new Set(winners))
      expect(holders).to.have.length(49)
    })

    it('hangs the record on the lease and tells its revision', async () => {
      const leaseId = await grant()
      const result = await claim('mine', leaseId)
      const kv = await stored()
      expect(kv?.lease).to.equal(leaseId)
      expect(result).to.deep.equal({ kind: 'claimed', modRevision: Number(kv?.mod_revision) })
    })

    it('recognises its own success when the answer was lost', async () => {
      const leaseId = await grant()
      const result = await loseAnswer(claim('mine', leaseId), async () => (await stored()) !== undefined)
      expect(result).to.deep.equal({
        kind: 'claimed',
        modRevision: Number((await stored())?.mod_revision),
      })
    })

    it('replaces a record only at the revision that it names', async () => {
      const leaseId = await grant()
      const first = await claim('one', leaseId)
      const modRevision = first.kind === 'claimed' ? first.modRevision : 0
      const again = { ...fresh('two', leaseId), modRevision }
      expect(await firstValueFrom(store.claim$(again))).to.have.property('kind', 'claimed')
      const stale = await firstValueFrom(store.claim$({ ...again, value: 'three' }))
      expect(stale).to.have.nested.property('record.value', 'two')
      expect((await stored())?.value.toString()).to.equal('two')
    })

    it('writes a record without a lease for lease 0', async () => {
      expect(await claim('reserved', '0')).to.have.property('kind', 'claimed')
      expect((await stored())?.lease).to.equal('0')
    })

    it('does nothing when the configuration has changed', async () => {
      const leaseId = await grant()
      await firstValueFrom(store.putConfig$('{"a":1}', 0))
      const { config } = await firstValueFrom(store.read$())
      await firstValueFrom(store.putConfig$('{"a":2}', config?.modRevision))
      const guarded = { ...fresh('mine', leaseId), configRevision: config?.modRevision }
      expect(await firstValueFrom(store.claim$(guarded))).to.deep.equal({ kind: 'config-changed' })
      expect(await stored()).to.equal(undefined)
      const current = (await firstValueFrom(store.read$())).config?.modRevision
      const allowed = await firstValueFrom(store.claim$({ ...guarded, configRevision: current }))
      expect(allowed.kind).to.equal('claimed')
    })

    it('errors when the lease is gone', async () => {
      const error: unknown = await claim('mine', '4242').catch((error: unknown) => error)
      expect(error).to.include({ kind: 'fault', code: 'lease-lost' })
    })
  })

  describe('release$', () => {
    it('deletes the record, but not one that was written since', async () => {
      const leaseId = await grant()
      const first = await claim('one', leaseId)
      const modRevision = first.kind === 'claimed' ? first.modRevision : 0
      await firstValueFrom(store.release$(key, modRevision - 1))
      expect((await stored())?.value.toString()).to.equal('one')
      await firstValueFrom(store.release$(key, modRevision))
      expect(await stored()).to.equal(undefined)
    })
  })

  describe('leases', () => {
    it('are kept alive for their whole time', async () => {
      expect(await firstValueFrom(store.keepAlive$(await grant()))).to.equal(60)
    })

    it('have 0 seconds when etcd does not know them', async () => {
      expect(await firstValueFrom(store.keepAlive$('4242'))).to.equal(0)
    })

    it('take their records with them when revoked, and can be revoked twice', async () => {
      const leaseId = await grant()
      await claim('mine', leaseId)
      await firstValueFrom(store.revoke$(leaseId))
      expect(await stored()).to.equal(undefined)
      await firstValueFrom(store.revoke$(leaseId))
    })

    it('are granted once even when the answer is lost', async () => {
      const leases = async () => (await direct.leaseClient.leaseLeases()).leases.length
      await firstValueFrom(store.read$()) // connected
      const before = await leases()
      const leaseId = await loseAnswer(grant(), async () => (await leases()) > before)
      expect(await leases()).to.equal(before + 1)
      expect(await firstValueFrom(store.keepAlive$(leaseId))).to.equal(60)
    })
  })

  describe('putConfig$', () => {
    it('creates, replaces at a revision, replaces whatever is there, and refuses when it changed', async () => {
      expect(await firstValueFrom(store.putConfig$('1', 0))).to.equal('written')
      expect(await firstValueFrom(store.putConfig$('2', 0))).to.equal('changed-meanwhile')
      const { config } = await firstValueFrom(store.read$())
      expect(await firstValueFrom(store.putConfig$('3', config?.modRevision))).to.equal('written')
      expect(await firstValueFrom(store.putConfig$('4', config?.modRevision))).to.equal('changed-meanwhile')
      expect(await firstValueFrom(store.putConfig$('5', undefined))).to.equal('written')
      expect((await firstValueFrom(store.read$())).config?.value).to.equal('5')
    })
  })

  describe('read$', () => {
    it('shows configuration and records at one revision', async () => {
      await firstValueFrom(store.putConfig$('{}', 0))
      await claim('mine', '0')
      const view = await firstValueFrom(store.read$())
      expect(view.config?.value).to.equal('{}')
      expect(view.records.map((record) => record.key)).to.deep.equal([key])
      expect(view.revision).to.equal(view.records[0]?.modRevision)
    })
  })
})
