import { expect } from 'chai'
import type { Container } from '../../support/container.ts'
import { Lab } from '../../support/lab.ts'
import { Daemon } from '../../support/process.ts'

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
const unfragmented = (from: Container, to: Container, bytes: number) => {
  const payload = bytes - 28 // 20 IPv4 + 8 ICMP
  return from.netns.exec('ping', '-c1', '-W2', '-M', 'do', '-s', String(payload), to.address)
}

for (const resolve of ['eager', 'on-miss'] as const)
  describe(`agent: three hosts with two containers each (${resolve})`, () => {
    let lab: Lab
    const containers = () => lab.hosts.flatMap((host) => host.containers)
    const pairs = () =>
      containers().flatMap((from) => containers().flatMap((to) => (from === to ? [] : [[from, to] as const])))

    before(async () => {
      lab = await Lab.create({ hosts: 3, agentFlags: ['--resolve', resolve] })
      await lab.startAgents()
      for (const host of lab.hosts) for (const name of ['a', 'b']) await host.addContainer(name)
    })
    after(() => lab.destroy())

    it('carries the very first packet from every container to every other', async () => {
      const lost: string[] = []
      for (const [from, to] of pairs()) {
        const { received } = await from.ping(to.address, { count: 1 })
        if (received !== 1) lost.push(`${from.address} -> ${to.address}`)
      }
      expect(pairs()).to.have.length(30) // 6 × 5
      expect(lost).to.deep.equal([])
    })

    it(`has asked the agents ${resolve === 'eager' ? 'nothing' : 'once for each host in use'}`, async () => {
      for (const host of lab.hosts) {
        const { misses, peers } = await host.status()
        expect(peers).to.include({ total: 2, programmed: 2, failed: 0 })
        expect(misses).to.include({ promoted: resolve === 'eager' ? 0 : 2, stranger: 0, limited: 0 })
      }
    })

    it('carries packets between a host itself and the containers of others', async () => {
      for (const from of lab.hosts)
        for (const to of containers()) {
          expect(await from.exec('ping', '-c1', '-W2', to.address)).to.contain(' 0% packet loss')
        }
    })

    it('carries packets as long as the MTU of the overlay, and has containers refuse longer ones', async () => {
      const [from, to] = [containers()[0], containers()[2]]
      if (!from || !to) throw new Error('no containers')
      expect((await lab.host(1).subnetEnv()).mtuBytes).to.equal(1450)
      expect(await unfragmented(from, to, 1450)).to.contain(' 0% packet loss')
      const tooLong = await unfragmented(from, to, 1451).catch(String)
      expect(tooLong).to.match(/message too long|Frag needed/i)
    })

    it('carries a megabyte over TCP to another host and back', async () => {
      const [from, to] = [containers()[5], containers()[0]]
      if (!from || !to) throw new Error('no containers')
      const server = Daemon.start(to.netns.wrap([process.execPath, '-e', tcpEcho]))
      await server.line(/listening/)
      const argv = [process.execPath, '-e', tcpClient, to.address, String(megabyte)]
      expect((await from.netns.exec(...argv)).trim()).to.equal(String(megabyte))
      await server.kill()
    })
  })
