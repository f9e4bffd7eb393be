import { expect } from 'chai'
import { firstValueFrom } from 'rxjs'
import { openLeaseStore } from '../../../src/adapters/etcd/store.ts'
import type { LeaseStore } from '../../../src/ports/lease-store.ts'
import { Etcd, freePorts } from '../../support/etcd.ts'
import { Lab } from '../../support/lab.ts'
import {
  fakeSubnet,
  halfConfig,
  peerBecomes,
  putFake,
  statusBecomes,
  twoContainers,
} from '../../support/overlay.ts'
import { Daemon } from '../../support/process.ts'
import { CollectedRecords } from './collected.ts'

const prefix = '/test/network'

/** A gRPC proxy at that address, when it serves. */
const startProxy = async (
  address: string,
  endpoint: string,
  wrap: readonly string[] = [],
): Promise<Daemon> => {
  const flags = [`--endpoints=${endpoint}`, `--listen-addr=${address}`]
  const proxy = Daemon.start([...wrap, 'etcd', 'grpc-proxy', 'start', ...flags])
  await proxy.line(/started gRPC proxy|listening for gRPC proxy client requests/)
  return proxy
}

describe('the etcd lease store through etcd grpc-proxy', function () {
  this.timeout(40_000)
  let etcd: Etcd
  let proxy: Daemon
  let address: string
  let store: LeaseStore & { close(): void }

  before(async () => {
    etcd = await Etcd.start()
    address = `127.0.0.1:${(await freePorts(1))[0] ?? 0}`
    proxy = await startProxy(address, etcd.url)
    store = openLeaseStore({ endpoints: `http://${address}`, prefix })
  })
  after(async () => {
    ;(store as typeof store | undefined)?.close()
    await (proxy as Daemon | undefined)?.kill()
    await etcd.stop()
  })

  const claim = (key: string, leaseId: string) =>
    firstValueFrom(store.claim$({ key, value: 'v', leaseId, modRevision: 0, configRevision: undefined }))

  it('grants, keeps alive, claims once, releases and revokes', async () => {
    const leaseId = await firstValueFrom(store.grant$(60))
    expect((await claim('10.1.1.0-24', leaseId)).kind).to.equal('claimed')
    expect((await claim('10.1.1.0-24', leaseId)).kind).to.equal('claimed')
    expect((await claim('10.1.1.0-24', await firstValueFrom(store.grant$(60)))).kind).to.equal('taken')
    expect(await firstValueFrom(store.keepAlive$(leaseId))).to.equal(60)
    await firstValueFrom(store.revoke$(leaseId))
    expect(await firstValueFrom(store.keepAlive$(leaseId))).to.equal(0)
    expect((await firstValueFrom(store.read$())).records).to.deep.equal([])
  })

  it('watches, and misses nothing while the proxy is started again', async () => {
    const records = new CollectedRecords(store.records$)
    await records.connected()
    await etcd.put(`${prefix}/subnets/10.1.2.0-24`, 'before')
    await records.until(() => records.changes.length === 1)
    await proxy.kill()
    await records.until(() => records.states.includes('disconnected'))
    await etcd.put(`${prefix}/subnets/10.1.2.0-24`, 'meanwhile')
    await etcd.delete(`${prefix}/subnets/10.1.2.0-24`)
    proxy = await startProxy(address, etcd.url)
    await records.connected(2)
    await etcd.put(`${prefix}/subnets/10.1.2.0-24`, 'after')
    await records.until(() => records.changes.includes('put 10.1.2.0-24=after'))
    expect(records.changes).to.deep.equal([
      'put 10.1.2.0-24=before',
      'put 10.1.2.0-24=meanwhile',
      'delete 10.1.2.0-24',
      'put 10.1.2.0-24=after',
    ])
    expect(records.snapshots).to.have.length(1)
    records.stop()
  })
})

describe('agents through etcd grpc-proxy', function () {
  this.timeout(60_000)
  const address = '192.0.2.1:23790'
  let lab: Lab
  let proxy: Daemon

  before(async () => {
    lab = await Lab.create({ hosts: 2, config: halfConfig })
    proxy = await startProxy(address, lab.endpoint, lab.underlay.wrap([]))
    await lab.startAgents(['--etcd-endpoints', `http://${address}`])
  })
  after(async () => {
    await (proxy as Daemon | undefined)?.kill()
    await lab.destroy()
  })

  it('forward, learn, and lose no packet while the proxy is started again', async () => {
    const [a, b] = await twoContainers(lab)
    const host = lab.host(1)
    const stream = await a.pingStream(b.address)
    await proxy.kill()
    await statusBecomes(host, 'no etcd', ({ etcd }) => !etcd.connected)
    proxy = await startProxy(address, lab.endpoint, lab.underlay.wrap([]))
    await putFake(lab, 1)
    await peerBecomes(host, fakeSubnet(1), (peer) => peer?.state === 'programmed')
    await statusBecomes(host, 'ready', ({ health }) => health.state === 'ready')
    expect((await stream.stop()).lost).to.equal(0)
  })
})
