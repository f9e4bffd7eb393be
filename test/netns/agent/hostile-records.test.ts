import { expect } from 'chai'
import type { Container } from '../../support/container.ts'
import { Lab, prefix } from '../../support/lab.ts'
import {
  fakeSubnet,
  halfConfig,
  macOf,
  peerBecomes,
  putFake,
  putRaw,
  recordOf,
  statusBecomes,
  subnetKey,
  tableLines,
  useFake,
} from '../../support/overlay.ts'
import { eventually } from '../../support/process.ts'

/** What a host knows of itself and its neighbour, to be imitated. */
interface Known {
  readonly ownSubnet: string
  readonly ownMac: string
  readonly peerMac: string
}

interface Hostile {
  readonly what: string
  /** Below `<prefix>/subnets/`; by default that of a peer which nobody has. */
  readonly key?: string | ((known: Known) => string)
  readonly value?: string | ((known: Known) => string)
  /** The reason that `tweed peers` gives. */
  readonly code: string
}

const unused = subnetKey(fakeSubnet(50)).split('/').at(-1) ?? ''
const of = (fields: Parameters<typeof recordOf>[1]) => recordOf(50, fields)
const deep = (depth: number) => `{"PublicIP":${'['.repeat(depth)}${']'.repeat(depth)}}`

const hostile: readonly Hostile[] = [
  { what: 'a key that is no subnet', key: 'foo', code: 'malformed-key' },
  { what: 'a key with a path below a subnet', key: `${unused}/x`, code: 'malformed-key' },
  { what: 'a default route', key: '0.0.0.0-0', code: 'outside-network' },
  { what: 'a key with host bits', key: '10.5.150.7-24', code: 'malformed-key' },
  { what: 'a prefix length that is none', key: '10.5.150.0-33', code: 'malformed-key' },
  { what: 'a subnet outside the network', key: '10.99.1.0-24', code: 'outside-network' },
  { what: 'the whole network', key: '10.5.0.0-16', code: 'wrong-length' },
  { what: 'a longer prefix', key: '10.5.150.0-25', code: 'wrong-length' },
  { what: 'a shorter prefix over good ones', key: '10.5.148.0-22', code: 'wrong-length' },
  { what: 'a prefix over our own subnet', key: ({ ownSubnet }) => ownSubnet.replace('/24', '-25'), code: 'wrong-length' }, // prettier-ignore
  { what: 'our own subnet, dual stack', key: ({ ownSubnet }) => `${ownSubnet.replace('/', '-')}&fc00::-64`, code: 'own-subnet' }, // prettier-ignore
  { what: "a good peer's subnet, dual stack", key: `${subnetKey(fakeSubnet(40)).split('/').at(-1) ?? ''}&fc00::-64`, code: 'outranked' }, // prettier-ignore
  { what: 'a value of 1 MB', value: `{"PublicIP":"${'1'.repeat(1_000_000)}"}`, code: 'oversized' },
  { what: 'a value that is no JSON', value: '\u0000{not json', code: 'malformed-value' },
  { what: 'an empty value', value: '""', code: 'malformed-value' },
  { what: 'deep JSON', value: deep(1000), code: 'malformed-value' },
  { what: '__proto__', value: `{"__proto__":${of({})}}`, code: 'malformed-value' },
  { what: 'no public address', value: of({ publicIp: null }), code: 'malformed-value' },
  { what: 'an address that is none', value: of({ publicIp: '198.51.100.256' }), code: 'malformed-value' },
  { what: 'another backend', value: of({ type: 'wireguard' }), code: 'other-backend' },
  { what: 'the backend in capitals', value: of({ type: 'VXLAN' }), code: 'other-backend' },
  { what: 'another VNI', value: of({ vni: 2 }), code: 'other-vni' },
  { what: 'a VNI that is none', value: of({ vni: 2 ** 24 }), code: 'other-vni' },
  { what: 'a multicast MAC', value: of({ mac: '01:00:5e:00:00:01' }), code: 'bad-mac' },
  { what: 'the broadcast MAC', value: of({ mac: 'ff:ff:ff:ff:ff:ff' }), code: 'bad-mac' },
  { what: 'the zero MAC', value: of({ mac: '00:00:00:00:00:00' }), code: 'bad-mac' },
  { what: 'our own MAC', value: ({ ownMac }) => of({ mac: ownMac }), code: 'own-mac' },
  { what: "a good peer's MAC", value: ({ peerMac }) => of({ mac: peerMac }), code: 'outranked' },
  { what: 'our own public address', value: of({ publicIp: '192.0.2.11', node: 'x' }), code: 'own-address' },
  { what: "a good peer's public address", value: of({ publicIp: '192.0.2.12' }), code: 'outranked' },
  { what: 'a loopback address', value: of({ publicIp: '127.0.0.1' }), code: 'bad-public-ip' },
  { what: 'a multicast address', value: of({ publicIp: '224.0.0.1' }), code: 'bad-public-ip' },
  { what: 'the broadcast address', value: of({ publicIp: '255.255.255.255' }), code: 'bad-public-ip' },
  { what: 'the unspecified address', value: of({ publicIp: '0.0.0.0' }), code: 'bad-public-ip' },
  { what: 'an address inside the overlay', value: of({ publicIp: '10.5.7.7' }), code: 'bad-public-ip' },
]

for (const resolve of ['eager', 'on-miss'] as const)
  describe(`agent: hostile records (${resolve})`, () => {
    let lab: Lab
    let a: Container
    let b: Container
    let known: Known

    before(async () => {
      lab = await Lab.create({ hosts: 2, config: halfConfig, agentFlags: ['--resolve', resolve] })
      await lab.startAgents()
      const [host, other] = [lab.host(1), lab.host(2)]
      a = await host.addContainer('a')
      b = await other.addContainer('b')
      await a.ping(b.address)
      await putFake(lab, 40)
      await peerBecomes(host, fakeSubnet(40), (peer) => peer !== undefined)
      await useFake(host, 40)
      await peerBecomes(host, fakeSubnet(40), (peer) => peer?.state === 'programmed')
      // The neighbour of the single container hands over to its host's rows.
      await eventually('no single neighbours', async () =>
        (await tableLines(host)).some((line) => line.includes('NOARP')) ? undefined : true,
      )
      const [status, otherStatus] = [await host.status(), await other.status()]
      known = {
        ownSubnet: status.lease?.subnet ?? '',
        ownMac: status.device?.mac ?? '',
        peerMac: otherStatus.device?.mac ?? '',
      }
    })
    after(() => lab.destroy())

    /** Puts, waits for the verdict, deletes, waits for its end; nothing else may have happened. */
    const strike = async ({ what, key = unused, value = of({}), code }: Hostile) => {
      const host = lab.host(1)
      const before = await tableLines(host)
      const path = `${prefix}/subnets/${typeof key === 'string' ? key : key(known)}`
      await putRaw(lab, path, typeof value === 'string' ? value : value(known))
      const revision = await lab.etcdRevision()
      const status = await statusBecomes(host, `${what} is seen`, (now) => now.etcd.revision >= revision)
      expect(status.peers.rejected, what).to.equal(1)
      const [rejected] = (await host.peers()).filter((peer) => peer.state === 'rejected')
      expect(rejected?.detail, what).to.match(new RegExp(`^${code}: .`))
      expect(rejected?.subnet, what).to.equal(path.slice(`${prefix}/subnets/`.length))
      expect(await tableLines(host), what).to.deep.equal(before)
      await lab.etcdctl('del', '--', path)
      await statusBecomes(host, `${what} is gone`, (now) => now.peers.rejected === 0)
      expect(await tableLines(host), what).to.deep.equal(before)
    }

    for (const record of hostile)
      it(`ignores ${record.what}, counts it, and harms no other`, async () => {
        const stream = await a.pingStream(b.address)
        await strike(record)
        await stream.nextAnswer()
        expect((await stream.stop()).lost).to.equal(0)
      })

    it('says each rule once in the log', () => {
      const lines = lab.host(1).agent?.logs.filter((line) => line.includes('record.rejected')) ?? []
      expect(lines).to.have.length(hostile.length)
    })

    it('keeps the last good meaning of a record that garbage replaces', async () => {
      const host = lab.host(1)
      const before = await tableLines(host)
      await putRaw(lab, subnetKey(fakeSubnet(40)), 'garbage')
      await statusBecomes(host, 'garbage is seen', (now) => now.peers.rejected === 1)
      expect(await tableLines(host)).to.deep.equal(before)
      expect(before.join()).to.contain(macOf(40))
      await putFake(lab, 40)
      await statusBecomes(host, 'good again', (now) => now.peers.rejected === 0)
      expect(await tableLines(host)).to.deep.equal(before)
    })

    it("goes on forwarding while garbage stands in a running host's own record", async () => {
      const [host, other] = [lab.host(1), lab.host(2)]
      const lease = (await other.status()).lease
      const stream = await a.pingStream(b.address)
      await putRaw(lab, subnetKey(lease?.subnet ?? ''), 'garbage')
      const revision = await lab.etcdRevision()
      await statusBecomes(host, 'garbage is seen', (now) => now.etcd.revision >= revision)
      await peerBecomes(host, lease?.subnet ?? '', (peer) => peer?.state === 'programmed')
      await statusBecomes(
        other,
        'owns its subnet again',
        (now) => now.lease?.state === 'owned' && now.lease.leaseId !== lease?.leaseId,
      )
      await stream.nextAnswer()
      expect((await stream.stop()).lost).to.equal(0)
      expect((await other.status()).lease?.subnet).to.equal(lease?.subnet)
    })
  })
