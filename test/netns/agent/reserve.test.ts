import { readFile } from 'node:fs/promises'
import { expect } from 'chai'
import type { AgentStatus } from '../../../src/core/status.ts'
import type { Container } from '../../support/container.ts'
import type { Host } from '../../support/host.ts'
import { Lab } from '../../support/lab.ts'
import { etcdFlags, halfConfig, peerBecomes, statusBecomes, subnetKey, told } from '../../support/overlay.ts'
import { eventually, type Finished } from '../../support/process.ts'

interface Told {
  readonly result: string
  readonly notes: readonly string[]
}

describe('agent: reservations and a static subnet', () => {
  let lab: Lab
  let a: Container
  let b: Container

  const reserve = (...args: readonly string[]): Promise<Finished> =>
    lab.host(3).tweed('reserve', ...args, ...etcdFlags(lab))
  const done = async (...args: readonly string[]): Promise<Told> => {
    const finished = await reserve(...args, '--json')
    expect(finished.code, told(finished)).to.equal(0)
    return JSON.parse(finished.stdout) as Told
  }
  const entry = async (subnet: string) =>
    (await lab.etcdEntries()).find(({ key }) => key === subnetKey(subnet))
  const subnetOf = async (host: Host): Promise<string> => (await host.status()).lease?.subnet ?? ''
  /** Until etcd has said what it holds; it is ready with the subnet of the last run before. */
  const restart = async (host: Host, ...flags: readonly string[]) => {
    await host.agent?.kill('SIGTERM')
    await (await host.startAgent(flags)).waitReady()
    return statusBecomes(host, 'owned', ({ lease }) => lease?.state === 'owned')
  }
  /** Under a ping: no packet is lost, no kernel written to, and peers see what they saw. */
  const undisturbed = async (work: () => Promise<void>): Promise<void> => {
    const monitors = await Promise.all([1, 2].map((number) => lab.host(number).monitorWrites()))
    const stream = await a.pingStream(b.address)
    const seen = async () => ({
      ...(await stream.stop()),
      writes: (await Promise.all(monitors.map((monitor) => monitor.stop()))).flat(),
    })
    // What watches goes with work that fails, or the process would never end.
    await work().catch(async (error: unknown) => {
      await seen()
      throw error
    })
    await stream.nextAnswer()
    const { received, lost, writes } = await seen()
    expect(received).to.be.above(0)
    expect(lost).to.equal(0)
    expect(writes).to.deep.equal([])
  }

  before(async () => {
    lab = await Lab.create({ hosts: 3, config: halfConfig })
  })
  after(() => lab.destroy())

  it('reserve: writes what flannel reads, and the host takes it', async () => {
    const first = await reserve('10.5.152.0/24', '--for', '192.0.2.11')
    expect(told(first)).to.equal('exit 0\n10.5.152.0/24 is reserved for 192.0.2.11\n')
    expect(await entry('10.5.152.0/24')).to.include({
      ...{ value: '{"PublicIP":"192.0.2.11","PublicIPv6":null}', isLeased: false },
    })
    const listed = await reserve('--list')
    expect(listed.stdout).to.match(/^10\.5\.152\.0\/24 +192\.0\.2\.11 +waiting$/m)
    await lab.host(2).startAgent()
    await lab.host(2).agent?.waitReady()
    const { lease } = await (await lab.host(1).startAgent()).waitReady()
    expect(lease).to.include({ subnet: '10.5.152.0/24', leaseId: '0', remainingSeconds: null })
    const { node } = await lab.host(1).status()
    expect((await reserve('--list')).stdout).to.match(new RegExp(`192\\.0\\.2\\.11 +${node} +in use$`, 'm'))
    a = await lab.host(1).addContainer('a')
    b = await lab.host(2).addContainer('b')
    await peerBecomes(lab.host(1), await subnetOf(lab.host(2)), (peer) => peer?.state === 'programmed')
    await peerBecomes(lab.host(2), '10.5.152.0/24', (peer) => peer?.state === 'programmed')
    expect((await a.ping(b.address)).received).to.equal(1)
  })

  it('reserve: says so when nothing is to be done', async () => {
    const revision = await lab.etcdRevision()
    expect(await done('10.5.152.0/24', '--for', '192.0.2.11')).to.deep.include({ result: 'unchanged' })
    expect(await lab.etcdRevision()).to.equal(revision)
  })

  it('reserve: refuses what another host has or is to have, and what does not fit, and writes nothing', async () => {
    await done('10.5.154.0/24', '--for', '192.0.2.99')
    const revision = await lab.etcdRevision()
    const { node } = await lab.host(1).status()
    for (const [subnet, host, words] of [
      [
        '10.5.152.0/24',
        '192.0.2.12',
        new RegExp(`10\\.5\\.152\\.0/24 is held by ${node} \\(192\\.0\\.2\\.11\\)`),
      ],
      ['10.5.154.0/24', '192.0.2.12', /10\.5\.154\.0\/24 is reserved for 192\.0\.2\.99/],
      ['10.6.7.0/24', '192.0.2.12', /must be inside 10\.5\.0\.0\/16/],
      ['10.5.7.0/25', '192.0.2.12', /must be a \/24/],
      ['10.5.7.0/24', 'no-such-host', /no record names the host no-such-host/],
    ] as const) {
      const refused = await reserve(subnet, '--for', host)
      expect(refused.code, told(refused)).to.equal(1)
      expect(refused.stderr)
        .to.match(words)
        .and.to.match(/^tweed: [^\n]+\n$/)
      expect(refused.stdout).to.equal('')
    }
    expect(await lab.etcdRevision()).to.equal(revision)
  })

  it('reserve: takes the lease from a running host’s record and gives it one again, with no packet lost', async () => {
    const host = lab.host(2)
    const before = await host.status()
    const subnet = before.lease?.subnet ?? ''
    const value = (await entry(subnet))?.value
    await undisturbed(async () => {
      expect(await done(subnet, '--for', before.node)).to.deep.include({ result: 'reserved', notes: [] })
      await statusBecomes(host, 'reserved', ({ lease }) => lease?.leaseId === '0')
      await lab.etcdctl('lease', 'revoke', BigInt(before.lease?.leaseId ?? '0').toString(16))
      expect(await entry(subnet)).to.include({ value, isLeased: false })
    })
    await undisturbed(async () => {
      expect(await done('--release', subnet)).to.deep.include({ result: 'released' })
      const { lease } = await statusBecomes(host, 'leased', (s) => s.lease?.leaseId !== '0')
      expect(lease).to.include({ state: 'owned', subnet })
      expect(await entry(subnet)).to.include({ value, isLeased: true })
    })
    expect((await host.status()).faults).to.deep.equal(before.faults)
  })

  it('reserve: moves no host that has another subnet, not even by a restart', async () => {
    const host = lab.host(2)
    const subnet = await subnetOf(host)
    const { notes } = await done('10.5.153.0/24', '--for', host.address)
    expect(notes.join()).to.contain(`${subnet} is held by`).and.to.contain('--subnet')
    const revision = await lab.etcdRevision()
    await undisturbed(async () => {
      const { lease } = await restart(host)
      expect(lease).to.include({ subnet })
    })
    expect(await lab.etcdRevision()).to.equal(revision)
  })

  it('--subnet: says who has it, and takes no other', async () => {
    const host = lab.host(3)
    await host.startAgent(['--subnet', '10.5.152.0/24'])
    const { health, lease } = await statusBecomes(host, 'the conflict', (status) =>
      status.health.reasons.some(({ code }) => code === 'lease-conflict'),
    )
    expect(health.state).to.equal('down')
    expect(health.reasons.map(({ message }) => message).join()).to.match(
      /10\.5\.152\.0\/24 is held by .*192\.0\.2\.11/,
    )
    expect(lease).to.equal(null)
    await host.agent?.kill('SIGTERM')
    const left = await host.startAgent(['--subnet', '10.5.152.0/24', '--on-conflict', 'exit'])
    expect((await left.exited).code).to.equal(1)
    const unfit = await host.startAgent(['--subnet', '10.6.7.0/24'])
    await unfit.log(/subnet-unfit.*must be inside 10\.5\.0\.0/)
    await unfit.kill('SIGTERM')
    expect(await entry('10.5.152.0/24')).to.include({ isLeased: false })
  })

  it('--subnet: a host that holds another keeps that where the wanted one is taken', async () => {
    const host = lab.host(2)
    const subnet = await subnetOf(host)
    await undisturbed(async () => {
      await host.agent?.kill('SIGTERM')
      await host.startAgent(['--subnet', '10.5.152.0/24'])
      const codes = ({ health }: AgentStatus) => health.reasons.map(({ code }) => code)
      const status = await statusBecomes(host, 'in conflict', (now) => codes(now).includes('lease-conflict'))
      const { health, lease } = status
      expect(health.state).to.equal('degraded')
      expect(codes(status)).to.deep.equal(['lease-conflict'])
      expect(lease).to.include({ subnet, state: 'owned' })
    })
  })

  it('--subnet: moves a host at start, which says so, and peers follow', async () => {
    const host = lab.host(2)
    const subnet = await subnetOf(host)
    const { lease } = await restart(host, '--subnet', '10.5.153.0/24')
    expect(lease).to.include({ subnet: '10.5.153.0/24', leaseId: '0', state: 'owned' })
    const line = (await host.agent?.log(/lease\.renumbered/)) ?? ''
    expect(line).to.contain(subnet).and.to.contain('10.5.153.0/24')
    await eventually(
      'subnet.env',
      async () =>
        /^FLANNEL_SUBNET=10\.5\.153\.1\/24$/m.test(await readFile(host.paths.subnetFile, 'utf8')) ||
        undefined,
    )
    await peerBecomes(lab.host(1), '10.5.153.0/24', (peer) => peer?.state === 'programmed')
    await peerBecomes(lab.host(1), subnet, (peer) => peer === undefined)
    expect(await entry(subnet)).to.equal(undefined)
    expect((await a.ping('10.5.153.0')).received).to.equal(1)
    const revision = await lab.etcdRevision()
    await restart(host, '--subnet', '10.5.153.0/24')
    expect(await lab.etcdRevision(), 'a restart writes nothing').to.equal(revision)
  })

  it('reserve: --release deletes what nobody uses', async () => {
    expect(await done('--release', '10.5.154.0/24')).to.deep.include({ result: 'released' })
    expect(await entry('10.5.154.0/24')).to.equal(undefined)
    const again = await reserve('--release', '10.5.154.0/24')
    expect(told(again)).to.equal('exit 1\ntweed: 10.5.154.0/24 is not reserved\n')
  })

  it('reserve: is told apart from bad usage', async () => {
    for (const args of [
      [],
      ['10.5.7.0/24'],
      ['10.5.7.1/24', '--for', '192.0.2.7'],
      ['10.5.7.0/24', '--for', '192.0.2.300'],
      ['10.5.7.0/24', '--list'],
      ['--list', '--for', '192.0.2.7'],
      ['--release', '10.5.7'],
    ]) {
      const refused = await reserve(...args)
      expect(refused.code, told(refused)).to.equal(2)
      expect(refused.stderr).to.match(/^tweed: [^\n]+\n$/)
    }
  })
})
