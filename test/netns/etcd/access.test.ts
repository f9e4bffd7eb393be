import { expect } from 'chai'
import { readFile } from 'node:fs/promises'
import { firstValueFrom } from 'rxjs'
import { openLeaseStore, type LeaseStoreOptions } from '../../../src/adapters/etcd/store.ts'
import { Fault } from '../../../src/core/fault.ts'
import type { LeaseStore } from '../../../src/ports/lease-store.ts'
import { Certificates } from '../../support/certificates.ts'
import { Etcd } from '../../support/etcd.ts'
import { output } from '../../support/process.ts'
import { CollectedRecords } from './collected.ts'

const prefix = '/test/network'

describe('access of the etcd lease store', function () {
  this.timeout(20_000)
  const opened: (LeaseStore & { close(): void })[] = []
  const open = (options: Omit<LeaseStoreOptions, 'prefix'>) => {
    const store = openLeaseStore({ prefix, ...options })
    opened.push(store)
    return store
  }
  const faultOf = async (store: LeaseStore): Promise<Fault> => {
    const error: unknown = await firstValueFrom(store.read$()).catch((error: unknown) => error)
    if (!Fault.is(error)) throw new Error('no fault')
    return error
  }
  afterEach(() => {
    for (const store of opened.splice(0)) store.close()
  })

  describe('by user name and password', () => {
    let etcd: Etcd
    const root = ['--user', 'root:root-secret'] as const
    before(async () => {
      etcd = await Etcd.start()
      await etcd.ctl('user', 'add', 'root:root-secret')
      await etcd.ctl('user', 'grant-role', 'root', 'root')
      await etcd.ctl('user', 'add', 'agent:agent-secret')
      await etcd.ctl('role', 'add', 'agent')
      await etcd.ctl('role', 'grant-permission', '--prefix=true', 'agent', 'readwrite', `${prefix}/`)
      await etcd.ctl('user', 'grant-role', 'agent', 'agent')
      await etcd.ctl('auth', 'enable')
    })
    after(() => etcd.stop())

    it('reads, claims and watches', async () => {
      const store = open({
        endpoints: etcd.url,
        login: { username: 'agent', password: 'agent-secret' },
      })
      const records = new CollectedRecords(store.records$)
      await records.connected()
      const leaseId = await firstValueFrom(store.grant$(60))
      expect(await firstValueFrom(store.keepAlive$(leaseId))).to.equal(60)
      const claim = { key: '10.1.1.0-24', value: 'v', leaseId, modRevision: 0, configRevision: undefined }
      expect((await firstValueFrom(store.claim$(claim))).kind).to.equal('claimed')
      await records.until(() => records.changes.length === 1)
      await firstValueFrom(store.revoke$(leaseId))
    })

    it('logs in again when etcd has forgotten the token', async () => {
      const store = open({
        endpoints: etcd.url,
        login: { username: 'agent', password: 'agent-secret' },
      })
      const records = new CollectedRecords(store.records$)
      await records.connected()
      await etcd.kill() // simple tokens live in memory
      await etcd.restart()
      await records.connected(2)
      await etcd.ctl(...root, 'put', `${prefix}/subnets/10.1.2.0-24`, 'after')
      await records.until(() => records.changes.includes('put 10.1.2.0-24=after'))
      await firstValueFrom(store.read$())
    })

    it('says that it was denied, and keeps the secret', async () => {
      const fault = await faultOf(
        open({ endpoints: etcd.url, login: { username: 'agent', password: 'wrong-secret' } }),
      )
      expect(fault).to.include({ code: 'etcd-denied', transient: false })
      expect(fault.message)
        .to.match(/authentication failed/)
        .and.not.match(/wrong-secret/)
    })

    it('says that a login is missing', async () => {
      expect((await faultOf(open({ endpoints: etcd.url }))).code).to.equal('etcd-denied')
    })

    it('says that a watch is not permitted, and goes on once it is', async () => {
      await etcd.ctl(...root, 'user', 'add', 'late:late-secret')
      const store = open({ endpoints: etcd.url, login: { username: 'late', password: 'late-secret' } })
      const records = new CollectedRecords(store.records$)
      await records.until(() => records.states.includes('disconnected'))
      expect(records.events[0]).to.have.nested.property('fault.code', 'etcd-denied')
      await etcd.ctl(...root, 'user', 'grant-role', 'late', 'agent')
      await records.connected()
    })
  })

  it('works with a login where etcd asks for none', async () => {
    const etcd = await Etcd.start()
    try {
      const store = open({ endpoints: etcd.url, login: { username: 'agent', password: 'secret' } })
      expect((await firstValueFrom(store.read$())).records).to.deep.equal([])
    } finally {
      await etcd.stop()
    }
  })

  describe('by TLS', () => {
    let certificates: Certificates
    let foreign: Certificates
    let etcd: Etcd
    before(async () => {
      certificates = await Certificates.create()
      foreign = await Certificates.create()
      etcd = await Etcd.start({ tls: await certificates.issue('server') })
    })
    after(async () => {
      await etcd.stop()
      await certificates.remove()
      await foreign.remove()
    })

    it('needs nothing but the authority', async () => {
      const store = open({ endpoints: etcd.url, tls: { ca: await certificates.ca } })
      const records = new CollectedRecords(store.records$)
      await records.connected()
      expect((await firstValueFrom(store.read$())).records).to.deep.equal([])
    })

    it('names the certificate when the authority is another', async () => {
      const fault = await faultOf(open({ endpoints: etcd.url, tls: { ca: await foreign.ca } }))
      expect(fault.code).to.equal('etcd-denied')
      expect(fault.message).to.match(/certificate/)
    })

    it('trusts nobody by default', async () => {
      expect((await faultOf(open({ endpoints: etcd.url }))).code).to.equal('etcd-denied')
    })

    it('shows its own certificate where etcd asks for one', async () => {
      const server = await certificates.issue('strict')
      const strict = await Etcd.start({
        tls: server,
        flags: ['--client-cert-auth', `--trusted-ca-file=${server.ca}`],
      })
      try {
        const agent = await certificates.issue('agent')
        const [ca, cert, key] = await Promise.all(
          [agent.ca, agent.cert, agent.key].map((path) => readFile(path)),
        )
        const store = open({ endpoints: strict.url, tls: { ca, cert, key } })
        expect((await firstValueFrom(store.read$())).records).to.deep.equal([])
        const fault = await faultOf(open({ endpoints: strict.url, tls: { ca } }))
        expect(fault.message).to.match(/certificate|socket|connection|ECONNRESET/i)
      } finally {
        await strict.stop()
      }
    })
  })

  describe('of a process', () => {
    it('lets it end by itself after close()', async () => {
      const etcd = await Etcd.start()
      try {
        const program = new URL('./open-and-close.ts', import.meta.url).pathname
        const printed = await output([process.execPath, '--import', 'tsx', program, etcd.url])
        expect(printed.trim().split('\n')).to.deep.equal(['connected', 'closed'])
      } finally {
        await etcd.stop()
      }
    })
  })
})
