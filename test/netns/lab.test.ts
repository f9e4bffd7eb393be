import { writeFile } from 'node:fs/promises'
import { expect } from 'chai'
import { OUTSIDE } from '../../tools/enclosure.mjs'
import { Lab, defaultConfig, prefix } from '../support/lab.ts'
import type { Host } from '../support/host.ts'
import { output, run } from '../support/process.ts'

const mac = (n: number) => `02:00:00:00:05:0${n}`

/** What an agent would do on host `n` of two, by hand: the laboratory is tested without one. */
const joinOverlay = async (host: Host, n: number, other: Host, m: number) => {
  const env = `FLANNEL_NETWORK=10.5.0.0/16\nFLANNEL_SUBNET=10.5.${n}.1/24\nFLANNEL_MTU=1450\n`
  await writeFile(host.paths.subnetFile, env)
  await host.netns.sysctl('net.ipv4.ip_forward', '1')
  await host.netns.batch([
    `link add tweed.1 address ${mac(n)} mtu 1450 type vxlan id 1 dev eth0 local ${host.address} dstport 8472 nolearning`,
    `addr add 10.5.${n}.0/32 dev tweed.1`,
    'link set tweed.1 up',
  ])
  await addPeer(host, other, m)
}

const addPeer = async (host: Host, other: Host, m: number) => {
  await host.netns.bridge(
    'fdb',
    'replace',
    mac(m),
    'dev',
    'tweed.1',
    'dst',
    other.address,
    'self',
    'permanent',
  )
  await host.netns.batch([
    `neigh replace 10.5.${m}.0 lladdr ${mac(m)} dev tweed.1 nud permanent`,
    `route replace 10.5.${m}.0/24 via 10.5.${m}.0 dev tweed.1 onlink proto 84`,
  ])
}

describe('Lab', () => {
  let lab: Lab

  before(async () => {
    lab = await Lab.create({ hosts: 2 })
    await joinOverlay(lab.host(1), 1, lab.host(2), 2)
    await joinOverlay(lab.host(2), 2, lab.host(1), 1)
  })
  after(() => lab.destroy())

  it('joins its hosts by an underlay', async () => {
    const { netns } = lab.host(1)
    expect(await netns.exec('ping', '-c1', lab.host(2).address)).to.contain(' 0% packet loss')
  })

  it('runs an etcd that the hosts reach and holds the network config', async () => {
    const argv = ['env', 'ETCDCTL_API=3', 'etcdctl', '--endpoints', lab.endpoint, 'get', `${prefix}/config`]
    expect(await lab.host(2).exec(...argv)).to.contain(JSON.stringify(defaultConfig))
    expect((await lab.etcdEntries()).map((entry) => entry.key)).to.deep.equal([`${prefix}/config`])
  })

  it('reports a revision that grows with writes and only with them', async () => {
    const before = await lab.etcdRevision()
    expect(await lab.etcdRevision()).to.equal(before)
    await lab.etcdctl('put', '/elsewhere', 'x')
    expect(await lab.etcdRevision()).to.equal(before + 1)
  })

  it('keeps what etcd holds over a restart of etcd', async () => {
    await lab.etcd.kill()
    await lab.etcd.restart()
    expect((await lab.etcdEntries()).map((entry) => entry.key)).to.deep.equal([`${prefix}/config`])
  })

  it('gives containers the addresses, the route and the MTU of their host', async () => {
    const a = await lab.host(1).addContainer('a')
    const b = await lab.host(2).addContainer('b')
    expect([a.address, b.address]).to.deep.equal(['10.5.1.2', '10.5.2.2'])
    expect(await a.netns.ip('-o', 'link', 'show', 'eth0')).to.contain('mtu 1450')
    const result = await a.ping(b.address, { count: 3 })
    expect(result).to.include({ sent: 3, received: 3 })
    expect(result.rttsMs).to.have.length(3)
  })

  it('reads the three tables of a host', async () => {
    const { routes, neighbours, fdb } = await lab.host(1).tables()
    expect(routes.map((row) => [row.dst, row.gateway])).to.deep.equal([['10.5.2.0/24', '10.5.2.0']])
    expect(neighbours.map((row) => [row.dst, row.lladdr])).to.deep.equal([['10.5.2.0', mac(2)]])
    expect(fdb.map((row) => [row.mac, row.dst])).to.deep.equal([[mac(2), lab.host(2).address]])
  })

  it('counts a first packet to each of many addresses, and those that nobody answers', async () => {
    const many = await lab.host(2).addContainer('many', { addresses: 200 })
    const sender = await lab.host(1).addContainer('sender')
    await many.answerDatagrams()
    const all = await sender.firstPackets(many.addresses)
    expect(all).to.include({ sent: 200, received: 200 })
    const silent = '10.5.77.77'
    const some = await sender.firstPackets([...many.addresses.slice(0, 3), silent])
    expect(some.unanswered).to.deep.equal([silent])
  })

  it('notices a gap in a running ping', async () => {
    const [a] = lab.host(1).containers
    const [b] = lab.host(2).containers
    if (!a || !b) throw new Error('the containers of an earlier test are missing')
    const undisturbed = await a.pingStream(b.address)
    await undisturbed.nextAnswer()
    expect((await undisturbed.stop()).lost).to.equal(0)

    const disturbed = await a.pingStream(b.address)
    await lab.host(1).netns.bridge('fdb', 'del', mac(2), 'dev', 'tweed.1')
    expect(await a.ping(b.address, { count: 5, waitMs: 100 })).to.include({ received: 0 })
    await addPeer(lab.host(1), lab.host(2), 2)
    await disturbed.nextAnswer()
    const result = await disturbed.stop()
    expect(result.lost).to.be.greaterThan(0)
    expect(result.lost).to.equal(result.sent - result.received)
  })

  it('counts what the kernel notifies about the overlay device, and nothing else', async () => {
    const host = lab.host(1)
    const monitor = await host.monitorWrites()
    await host.netns.batch(['neigh replace 192.0.2.77 lladdr 02:00:00:00:00:77 dev eth0 nud permanent'])
    expect(await monitor.writes()).to.deep.equal([])
    await host.netns.batch([
      'neigh replace 10.5.3.0 lladdr 02:00:00:00:05:03 dev tweed.1 nud permanent',
      'neigh del 10.5.3.0 dev tweed.1',
    ])
    expect(await monitor.stop()).to.have.length(3) // added; failed, and so deleted
  })

  it('leaves nothing behind', async () => {
    const second = await Lab.create({ hosts: 1, config: undefined })
    expect(await second.etcdEntries()).to.deep.equal([])
    const names = [second.underlay.name, second.host(1).netns.name]
    expect(await output(['ip', 'netns', 'list']))
      .to.contain(names[0])
      .and.to.contain(names[1])
    await second.destroy()
    expect(await output(['ip', 'netns', 'list']))
      .not.to.contain(names[0])
      .and.not.to.contain(names[1])
  })

  it('refuses to work outside an enclosure', async () => {
    const create = `import { Lab } from './test/support/lab.ts'; await Lab.create({ hosts: 1 })`
    const program = [process.execPath, '--import', 'tsx', '--input-type=module', '-e', create]
    const { code, stderr } = await run(['env', '-u', OUTSIDE, ...program])
    expect(code).not.to.equal(0)
    expect(stderr).to.contain('not an enclosure')
  })
})
