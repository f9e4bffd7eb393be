import { expect } from 'chai'
import {
  etcdFlags,
  fakeRows,
  fakeSubnet,
  fileFlags,
  halfConfig,
  macOf,
  peerBecomes,
  publicIpOf,
  putFake,
  recordOf,
  statusBecomes,
  subnetKey,
  tableLines,
  told,
  useFake,
} from '../../support/overlay.ts'
import { Lab } from '../../support/lab.ts'
import { eventually } from '../../support/process.ts'

/** The bound of the promise "within a second", from the departure's end to the rows' absence. */
const withinMs = 1000

for (const resolve of ['eager', 'on-miss'] as const)
  describe(`agent: changes of peers (${resolve})`, () => {
    let lab: Lab
    const programmed = async (number: number) => {
      if (resolve === 'on-miss') {
        await peerBecomes(lab.host(1), fakeSubnet(number), (peer) => peer !== undefined)
        await useFake(lab.host(1), number)
      }
      await peerBecomes(lab.host(1), fakeSubnet(number), (peer) => peer?.state === 'programmed')
    }

    before(async () => {
      lab = await Lab.create({
        hosts: 2,
        config: halfConfig,
        agentFlags: ['--resolve', resolve, '--hold', '2s'],
      })
      await lab.startAgents()
    })
    after(() => lab.destroy())

    it('replaces the rows of a peer that changes its MAC and its public address', async () => {
      const host = lab.host(1)
      await putFake(lab, 1)
      await programmed(1)
      const changed = { mac: macOf(77), publicIp: publicIpOf(77) }
      await putFake(lab, 1, changed)
      await eventually('no row of the old MAC', async () =>
        (await tableLines(host)).some((line) => line.includes(macOf(1))) ? undefined : true,
      )
      expect(await fakeRows(host, 1, changed.mac)).to.deep.equal([
        `fdb ${changed.mac} ${changed.publicIp} permanent`,
        `neigh 10.5.101.0 ${changed.mac} PERMANENT`,
        'route 10.5.101.0/24 via 10.5.101.0 onlink',
      ])
    })

    it('moves the one FDB entry of a peer that changes its public address alone', async () => {
      const host = lab.host(1)
      await putFake(lab, 2)
      await programmed(2)
      await putFake(lab, 2, { publicIp: publicIpOf(78) })
      const fdb = () => fakeRows(host, 2).then((rows) => rows.filter((row) => row.startsWith('fdb')))
      await eventually('the new address', async () => (await fdb())[0]?.includes(publicIpOf(78)) || undefined)
      expect(await fdb()).to.deep.equal([`fdb ${macOf(2)} ${publicIpOf(78)} permanent`])
    })

    it('holds a peer whose record is deleted or expires, and then lets it go', async () => {
      const host = lab.host(1)
      const lease = /lease (\w+) granted/.exec(await lab.etcdctl('lease', 'grant', '60'))?.[1] ?? ''
      await lab.etcdctl('put', `--lease=${lease}`, subnetKey(fakeSubnet(4)), recordOf(4))
      await putFake(lab, 3)
      await programmed(3)
      await programmed(4)
      const rows = await fakeRows(host, 3)
      await lab.etcdctl('del', subnetKey(fakeSubnet(3)))
      await lab.etcdctl('lease', 'revoke', lease) // what etcd does when it expires
      const held = await peerBecomes(host, fakeSubnet(3), (peer) => peer?.state === 'held')
      expect(held?.detail).to.match(/^deleted; its rows stay until 20\d\d-/)
      expect(await fakeRows(host, 3))
        .to.deep.equal(rows)
        .and.have.length(3)
      await peerBecomes(host, fakeSubnet(4), (peer) => peer?.state === 'held')
      expect(await fakeRows(host, 4)).to.have.length(3)
      for (const number of [3, 4]) {
        await peerBecomes(host, fakeSubnet(number), (peer) => peer === undefined)
        await eventually('no rows', async () =>
          (await fakeRows(host, number)).length === 0 ? true : undefined,
        )
      }
    })

    it('lets a held peer come back without touching its rows', async () => {
      const host = lab.host(1)
      await putFake(lab, 5)
      await programmed(5)
      const monitor = await host.monitorWrites()
      await lab.etcdctl('del', subnetKey(fakeSubnet(5)))
      await peerBecomes(host, fakeSubnet(5), (peer) => peer?.state === 'held')
      await putFake(lab, 5)
      await peerBecomes(host, fakeSubnet(5), (peer) => peer?.state === 'programmed')
      expect((await monitor.stop()).filter((line) => line.includes('10.5.105.0'))).to.deep.equal([])
    })

    it('gives a held address to the peer that now has it', async () => {
      const host = lab.host(1)
      await putFake(lab, 6)
      await programmed(6)
      await lab.etcdctl('del', subnetKey(fakeSubnet(6)))
      await peerBecomes(host, fakeSubnet(6), (peer) => peer?.state === 'held')
      await putFake(lab, 7, { publicIp: publicIpOf(6), mac: macOf(6) })
      await programmed(7)
      expect((await tableLines(host)).filter((line) => line.includes(macOf(6)))).to.have.length(2)
      expect(await fakeRows(host, 7, macOf(6))).to.have.length(3)
    })

    it('keeps the rows when many peers vanish together, and says so', async function () {
      const host = lab.host(1)
      const many = Array.from({ length: 12 }, (_, i) => 20 + i)
      for (const number of many) await putFake(lab, number)
      for (const number of many) await programmed(number)
      const rows = await tableLines(host)
      const until = Date.now() + 60_000
      await lab.etcdctl('del', subnetKey(fakeSubnet(20)), subnetKey(fakeSubnet(32))) // a range
      const status = await statusBecomes(host, 'all held', (now) => now.peers.held >= many.length)
      expect(status.peers.held).to.be.at.least(12)
      const held = (await host.peers()).filter((peer) => peer.state === 'held')
      for (const peer of held) {
        expect(peer.detail).to.match(/^mass; /)
        expect(Date.parse(peer.detail.split('until ')[1] ?? '')).to.be.greaterThan(until)
      }
      expect(await tableLines(host)).to.deep.equal(rows)
      expect(status.health.reasons.map(({ code }) => code)).to.include('peers-held')
    })

    it('forgets within a second a peer that leaves, its route first and its FDB entry last', async () => {
      const [host, leaver] = [lab.host(1), lab.host(2)]
      const subnet = (await leaver.status()).lease?.subnet ?? ''
      await host.exec('ping', '-c1', '-W1', subnet.replace('/24', '')) // on-miss: it is in use then
      await peerBecomes(host, subnet, (peer) => peer?.state === 'programmed')
      const mac = (await leaver.status()).device?.mac ?? ''
      const monitor = await host.monitorWrites()
      const left = await leaver.tweed('leave', ...etcdFlags(lab), ...fileFlags(leaver))
      expect(left.code, told(left)).to.equal(0)
      await eventually(
        'no row of the peer',
        async () =>
          (await tableLines(host)).some((line) => line.includes(mac) || line.includes(subnet))
            ? undefined
            : true,
        withinMs,
      )
      const removed = (await monitor.stop()).filter((line) => line.startsWith('Deleted'))
      const order = removed.map((line) =>
        line.includes(subnet) ? 'route' : line.startsWith('Deleted 10.5.') ? 'neighbour' : 'fdb',
      )
      expect(order, removed.join('\n')).to.deep.equal(['route', 'neighbour', 'fdb'])
      expect((await lab.etcdEntries()).map(({ key }) => key)).not.to.include(subnetKey(subnet))
      await leaver.agent?.exited
      expect((await leaver.tables()).routes).to.deep.equal([])
    })
  })
