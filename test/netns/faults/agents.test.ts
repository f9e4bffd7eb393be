import { copyFile, mkdir, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect } from 'chai'
import type { OnConflict } from '../../../src/streams/lease.ts'
import { fakeKey, fakeRecord } from '../../support/faults/churn.ts'
import { back, FaultLab } from '../../support/faults/fault-lab.ts'
import { row } from '../../support/faults/rows.ts'
import type { Host } from '../../support/host.ts'
import { peerBecomes, recordOf, statusBecomes, tableLines } from '../../support/overlay.ts'
import { eventually, output } from '../../support/process.ts'

describe('etcd under fault: agents', function () {
  this.timeout(120_000)
  let lab: FaultLab
  let h1: Host
  /** Has no container that is pinged, so that it may lose its subnet. */
  let spare: Host
  before(async () => {
    lab = await FaultLab.create({ spares: 1 })
    h1 = lab.host(1)
    spare = lab.host(4)
    await (await spare.startAgent()).waitReady(60_000)
  })
  after(() => lab.destroy())

  const subnetOf = async (host: Host) => (await host.status()).lease?.subnet ?? ''
  const remount = (dir: string, options: string) => output(['mount', '-o', `remount,${options}`, dir])

  it(row(14), async () => {
    const h2 = lab.host(2)
    await lab.shortenLeases(5, [h2])
    const subnet = await subnetOf(h2)
    await lab.row(async () => {
      const from = lab.heard(h2)
      const key = await lab.keyOf(h2)
      h2.agent?.signal('SIGSTOP')
      await lab.vanishes(key)
      await peerBecomes(h1, subnet, (peer) => peer?.state === 'held')
      h2.agent?.signal('SIGCONT')
      await lab.says(h2, /"lease.lost"/, from)
      await lab.says(h2, /"lease.owned"/, from)
      await peerBecomes(h1, subnet, (peer) => peer?.state === 'programmed')
    })
  })

  /** Stops the spare agent until its lease has ended and another host has its subnet. */
  const loseSubnet = async (onConflict: OnConflict) => {
    await lab.restart(spare, ['--on-conflict', onConflict])
    const [key, subnet] = [await lab.keyOf(spare), await subnetOf(spare)]
    const from = lab.heard(spare)
    spare.agent?.signal('SIGSTOP')
    await lab.etcd.revoke((await spareLease(key)) ?? '')
    await lab.etcd.put(
      key,
      recordOf(200, { publicIp: '203.0.113.200', mac: '02:00:5e:00:02:00', node: 'new-owner' }),
    )
    for (const host of lab.hosts)
      await peerBecomes(
        host,
        subnet,
        (peer) => peer?.state === 'programmed' && peer.publicIp === '203.0.113.200',
      )
    spare.agent?.signal('SIGCONT')
    return { key, subnet, from }
  }
  const spareLease = async (key: string) => (await lab.etcd.get(key))?.lease

  it(`${row(15)} (renumber)`, () => {
    const held: string[] = []
    return lab.row(
      async () => {
        const { subnet, key, from } = await loseSubnet('renumber')
        held.push(subnet)
        await lab.says(spare, /"lease.conflict"/, from)
        await statusBecomes(
          spare,
          'another subnet',
          ({ lease }) => lease?.state === 'owned' && lease.subnet !== subnet,
        )
        await eventually('subnet.env', async () => ((await spare.subnetEnv()).subnet.startsWith(subnet.replace('0/24', '')) ? undefined : true)) // prettier-ignore
        await lab.etcd.delete(key)
      },
      { held },
    )
  })

  it(`${row(15)} (hold)`, () =>
    lab.row(async () => {
      const rows = await tableLines(spare)
      const { subnet, key } = await loseSubnet('hold')
      await lab.reasons(spare, (codes) => codes.includes('lease-conflict'))
      expect((await spare.status()).lease).to.include({ state: 'conflict', subnet })
      for (const host of lab.hosts) {
        const route = `route ${await subnetOf(host)} via`
        expect((await tableLines(spare)).filter((line) => line.startsWith(route))).to.have.length(1)
        expect(rows.filter((line) => line.startsWith(route))).to.have.length(1)
      }
      await lab.etcd.delete(key)
      await statusBecomes(spare, 'its subnet again', ({ lease }) => lease?.state === 'owned', 45_000)
      expect(await subnetOf(spare)).to.equal(subnet)
    }))

  it(`${row(15)} (exit)`, () =>
    lab.row(async () => {
      const { key } = await loseSubnet('exit')
      expect((await spare.agent?.exited)?.code).to.be.greaterThan(0)
      await lab.etcd.delete(key)
      await lab.restart(spare)
    }))

  it(row(16), () =>
    lab.row(async () => {
      await lab.churn.stop()
      await lab.converged()
      await lab.remembered(h1) // or it would begin with the records of a second ago
      const key = await lab.keyOf(h1)
      const monitor = await h1.monitorWrites()
      await h1.agent?.kill('SIGKILL')
      const now = (await lab.etcd.get(fakeKey(1)))?.value.toString()
      await lab.etcd.put(fakeKey(1), fakeRecord(1, now === fakeRecord(1, 0) ? 1 : 0))
      const revision = await lab.etcd.revision()
      await lab.restart(h1)
      expect(await lab.etcd.revision(), `writes since ${key}`).to.equal(revision)
      await lab.converged()
      const others = (await monitor.stop()).filter((line) => !/10\.5\.101\.0|02:00:5e:00:0[01]:01/.test(line))
      expect(others, 'rows of others').to.deep.equal([])
    }),
  )

  it(`${row(16)} (without etcd)`, () =>
    lab.row(async () => {
      await lab.churn.stop()
      await lab.converged()
      const rows = await tableLines(spare)
      await spare.agent?.kill('SIGKILL') // so soon that the disk is older than the kernel
      await lab.all((member) => member.refuse())
      await spare.startAgent()
      await lab.reasons(spare, (codes) => codes.includes('no-snapshot') && codes.includes('etcd-unreachable'))
      await statusBecomes(spare, 'degraded', ({ health }) => health.state === 'degraded')
      expect(await tableLines(spare)).to.include.members(rows)
    }))

  it(`${row(16)} (told to stop)`, () =>
    lab.row(async () => {
      await lab.churn.stop()
      await lab.converged()
      await spare.agent?.kill('SIGTERM')
      await lab.remembered(spare)
      await lab.restart(spare)
    }))

  it(row(17), async () => {
    const container = spare.containers[0] ?? (await spare.addContainer('d'))
    await lab.row(async () => {
      await lab.churn.stop()
      await lab.converged()
      await lab.remembered(spare)
      const rows = await tableLines(spare)
      await spare.agent?.kill('SIGKILL')
      await spare.netns.ip('link', 'del', 'tweed.1')
      await lab.all((member) => member.refuse())
      const agent = await spare.startAgent()
      await lab.reasons(spare, (codes) => codes.includes('no-snapshot') && codes.includes('etcd-unreachable'))
      await statusBecomes(spare, 'degraded', ({ health }) => health.state === 'degraded')
      expect(await tableLines(spare)).to.deep.equal(rows)
      const [target] = h1.containers
      expect((await container.ping(target?.address ?? '', { count: 20 })).received).to.equal(20)
      await lab.expectCalm([spare])
      await lab.heal()
      await lab.says(spare, back)
      await agent.waitReady(60_000)
    })
  })

  it(row(32), () =>
    lab.row(async () => {
      await lab.churn.stop()
      await lab.converged()
      h1.agent?.signal('SIGSTOP')
      await h1.netns.batch(['link add storm type veth peer name storm2', 'link set storm up'])
      const burst = (verb: string) =>
        Array.from({ length: 20_000 }, (_, i) => {
          const ip = `198.18.${i >> 8}.${i & 255}`
          return `neigh ${verb} ${ip} lladdr 02:00:5e:00:03:01 dev storm nud permanent`
        })
      await h1.netns.batch([...burst('add'), ...burst('del')])
      await h1.netns.ip('route', 'del', '10.5.101.0/24')
      await h1.netns.batch(burst('add'))
      await h1.netns.batch(['link del storm'])
      h1.agent?.signal('SIGCONT')
      await lab.learns(h1)
    }),
  )

  /** The fault is over, without a restart: nothing is left of it in the agent's health, and the disk has caught up. */
  const healthy = async (host: Host) => {
    await lab.churn.stop()
    await lab.reasons(host, (codes) => codes.length === 0)
    await lab.converged()
    await lab.remembered(host)
  }

  it(`${row(33)} (read-only)`, () =>
    lab.row(async () => {
      const dir = h1.paths.stateDir
      await h1.agent?.kill('SIGTERM')
      await output(['mount', '--bind', dir, dir])
      await remount(dir, 'bind,ro')
      try {
        const { pid } = await h1.startAgent()
        await lab.reasons(h1, (codes) => codes.includes('state-unwritable'))
        await lab.learns(h1)
        // The agent has mounts of its own.
        await output(['nsenter', '-m', '-t', String(pid), 'mount', '-o', 'remount,bind,rw', dir])
        await healthy(h1)
      } finally {
        await output(['umount', dir])
      }
    }))

  it(`${row(33)} (disk full)`, () =>
    lab.row(async () => {
      const dir = h1.paths.stateDir
      await h1.agent?.kill('SIGTERM')
      const state = await readFile(join(dir, 'state.json'), 'utf8')
      await output(['mount', '-t', 'tmpfs', '-o', 'size=8k', 'tmpfs', dir])
      try {
        await writeFile(join(dir, 'state.json'), state)
        const agent = await h1.startAgent()
        await lab.reasons(h1, (codes) => codes.includes('state-unwritable'))
        expect(await readFile(join(dir, 'state.json'), 'utf8')).to.equal(state)
        await lab.learns(h1)
        await remount(dir, 'size=1m')
        await healthy(h1)
        await agent.kill('SIGTERM')
      } finally {
        await output(['umount', dir])
      }
      await lab.restart(h1)
    }))

  it(`${row(35)} (address)`, () =>
    lab.row(async () => {
      await spare.agent?.kill('SIGTERM')
      const records = await lab.hostRecords()
      // Its state keeps its own node id: all hosts of the laboratory share one machine-id.
      await spare.startAgent(['--public-ip', h1.address])
      await lab.reasons(spare, (codes) => codes.includes('lease-conflict'))
      await lab.learns(h1)
      expect(await lab.hostRecords()).to.deep.equal(records)
      await spare.agent?.kill('SIGTERM')
      await lab.restart(spare)
    }))

  it(`${row(35)} (identity)`, () =>
    lab.row(async () => {
      await spare.agent?.kill('SIGTERM')
      const records = await lab.hostRecords()
      await forget(spare)
      for (const file of ['state.json', 'peers.json'])
        await copyFile(join(h1.paths.stateDir, file), join(spare.paths.stateDir, file))
      await spare.startAgent()
      await lab.reasons(spare, (codes) => codes.includes('lease-conflict'))
      await lab.learns(h1)
      expect(await lab.hostRecords()).to.deep.equal(records)
      await spare.agent?.kill('SIGTERM')
      await forget(spare)
      await lab.restart(spare)
    }))

  /** As if the host had never had an agent. */
  const forget = async ({ paths, netns }: Host) => {
    await rm(paths.stateDir, { recursive: true, force: true })
    await mkdir(paths.stateDir, { recursive: true })
    await rm(paths.subnetFile, { force: true })
    await netns.ip('link', 'del', 'tweed.1').catch(() => '')
  }
})
