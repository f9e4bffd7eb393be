import { expect } from 'chai'
import type { Container } from '../../support/container.ts'
import { type Family, ipv4, ipv6, overlays } from '../../support/families.ts'
import { Lab } from '../../support/lab.ts'
import { fdbOf, statusBecomes, tableLines } from '../../support/overlay.ts'
import { lostDuring } from '../../support/traffic.ts'

const megabyte = 1 << 20

/** Returns what it is sent, and says when it listens. */
const tcpEcho = `require('net').createServer((s) => s.pipe(s)).listen(7, () => console.log('listening'))`
/** Sends so many bytes to an address, and prints how many came back as they were. */
const tcpClient = `
  const [, to, length] = process.argv
  const sent = require('crypto').randomBytes(Number(length))
  const back = []
  const socket = require('net').connect(7, to, () => socket.end(sent))
  socket.on('data', (chunk) => back.push(chunk))
  socket.on('end', () => console.log(Buffer.concat(back).equals(sent) ? sent.length : 'changed'))`

/** One ICMP echo that may not be fragmented; the packet is so long in all. */
const unfragmented = (from: Container, to: string, bytes: number) => {
  const headers = to.includes(':') ? 48 : 28 // 40 IPv6 or 20 IPv4 + 8 ICMP
  return from.netns.exec('ping', '-c1', '-W2', '-M', 'do', '-s', String(bytes - headers), to)
}

for (const overlay of overlays)
  for (const resolve of ['eager', 'on-miss'] as const)
    describe(`agent: three hosts with two containers each, ${overlay.name} (${resolve})`, () => {
      let lab: Lab
      const { families } = overlay
      const mtuBytes = families.includes(ipv6) ? 1430 : 1450 // 1500 − 70 or − 50
      const containers = () => lab.hosts.flatMap((host) => host.containers)
      const pairs = () =>
        containers().flatMap((from) =>
          containers().flatMap((to) => (from === to ? [] : [[from, to] as const])),
        )
      /** A container of the first host and one of the second. */
      const apart = (): readonly [Container, Container] => {
        const [from, to] = [containers()[0], containers()[2]]
        if (!from || !to) throw new Error('no containers')
        return [from, to]
      }

      before(async () => {
        lab = await Lab.create({
          hosts: 3,
          ipv6: overlay.ipv6,
          config: overlay.config,
          agentFlags: ['--resolve', resolve],
        })
        await lab.startAgents()
        for (const host of lab.hosts) for (const name of ['a', 'b']) await host.addContainer(name)
      })
      after(() => lab.destroy())

      for (const { name, addressOf } of families)
        it(`carries the very first packet from every container to every other (${name})`, async () => {
          const lost: string[] = []
          for (const [from, to] of pairs()) {
            const { received } = await from.ping(addressOf(to), { count: 1 })
            if (received !== 1) lost.push(`${addressOf(from)} -> ${addressOf(to)}`)
          }
          expect(pairs()).to.have.length(30) // 6 × 5
          expect(lost).to.deep.equal([])
        })

      it(`has asked the agents ${resolve === 'eager' ? 'nothing' : 'once for each host and family in use'}`, async () => {
        for (const host of lab.hosts) {
          const { misses, peers } = await host.status()
          expect(peers).to.include({ total: 2, programmed: 2, failed: 0 })
          const promoted = resolve === 'eager' ? 0 : 2 * families.length
          expect(misses).to.include({ promoted, stranger: 0, limited: 0 })
        }
      })

      it('has one FDB entry for each other host on each device', async () => {
        for (const [i, host] of lab.hosts.entries())
          for (const { device, underlay } of families) {
            const others = [11, 12, 13].filter((number) => number !== 11 + i).map(underlay)
            expect(await fdbOf(host, device)).to.deep.equal(others)
          }
      })

      it('carries packets between a host itself and the containers of others', async () => {
        for (const from of lab.hosts)
          for (const to of containers())
            for (const { addressOf } of families)
              expect(await from.exec('ping', '-c1', '-W2', addressOf(to))).to.contain(' 0% packet loss')
      })

      it('carries packets as long as the MTU of the overlay, and has containers refuse longer ones', async () => {
        const [from, to] = apart()
        expect((await lab.host(1).subnetEnv()).mtuBytes).to.equal(mtuBytes)
        for (const { addressOf } of families) {
          expect(await unfragmented(from, addressOf(to), mtuBytes)).to.contain(' 0% packet loss')
          const tooLong = await unfragmented(from, addressOf(to), mtuBytes + 1).catch(String)
          expect(tooLong).to.match(/message too long|Frag needed/i)
        }
      })

      it('fills the underlay to its last byte', async () => {
        const [from, to] = apart()
        // With both families the MTU is that of IPv6, whose outer header is the longer one.
        const [family, full]: [Family, string] = families.includes(ipv6)
          ? [ipv6, 'ip6 and udp dst port 8472 and ip6[4:2] = 1460'] // 1500 - 40 of the outer header
          : [ipv4, 'ip and udp dst port 8472 and ip[2:2] = 1500']
        const sniffer = lab.host(2).netns.start('tcpdump', '-nli', 'eth0', '-c1', full)
        await sniffer.line(/listening on/)
        await unfragmented(from, family.addressOf(to), mtuBytes)
        await sniffer.line(new RegExp(`${family.underlay(11)}\\.\\d+ > ${family.underlay(12)}\\.8472`))
        await sniffer.kill()
      })

      for (const { name, addressOf } of families)
        it(`carries a megabyte over TCP to another host and back (${name})`, async () => {
          const [from, to] = [containers()[5], containers()[0]]
          if (!from || !to) throw new Error('no containers')
          const server = to.netns.start(process.execPath, '-e', tcpEcho)
          await server.line(/listening/)
          const argv = [process.execPath, '-e', tcpClient, addressOf(to), String(megabyte)]
          expect((await from.netns.exec(...argv)).trim()).to.equal(String(megabyte))
          await server.kill()
        })

      it('loses nothing by kill -9, and writes nothing to etcd or the kernel', async () => {
        const host = lab.host(1)
        // Rows for single containers come and go by themselves within two seconds of a promotion.
        await statusBecomes(
          host,
          'rows of hosts alone',
          ({ tables: { neighbours } }) => neighbours.actual === 2 * families.length,
        )
        const lines = () => Promise.all(families.map(({ device }) => tableLines(host, device)))
        const before = await lines()
        const revision = await lab.etcdRevision()
        const { lease, device, device6 } = await host.status()
        const monitors = await Promise.all(families.map((family) => host.monitorWrites(family.device)))
        const lost = await lostDuring(...apart(), async () => {
          await host.agent?.kill('SIGKILL')
          const status = await (await host.startAgent()).waitReady()
          expect(status.lease?.subnet).to.equal(lease?.subnet)
          expect(status.device).to.deep.equal(device)
          expect(status.device6).to.deep.equal(device6)
        })
        expect(lost).to.equal(0)
        for (const monitor of monitors) expect(await monitor.stop()).to.deep.equal([])
        expect(await lab.etcdRevision()).to.equal(revision)
        expect(await lines()).to.deep.equal(before)
        for (const rows of before) expect(rows).to.not.be.empty
      })
    })
