import { mkdir, rm, rmdir } from 'node:fs/promises'
import { expect } from 'chai'
import type { Container } from '../../support/container.ts'
import type { Host } from '../../support/host.ts'
import { Lab } from '../../support/lab.ts'
import {
  fakeSubnet,
  halfConfig,
  peerBecomes,
  putFake,
  statusBecomes,
  tableLines,
  twoContainers,
} from '../../support/overlay.ts'
import { eventually } from '../../support/process.ts'
import { lostDuring } from '../../support/traffic.ts'

for (const resolve of ['eager', 'on-miss'] as const)
  describe(`agent: restarts under traffic in both directions (${resolve})`, () => {
    let lab: Lab
    let host: Host
    let a: Container
    let b: Container

    before(async () => {
      lab = await Lab.create({ hosts: 2, config: halfConfig, agentFlags: ['--resolve', resolve] })
      host = lab.host(1)
      await lab.startAgents()
      ;[a, b] = await twoContainers(lab)
    })
    after(() => lab.destroy())

    const restarted = async () => {
      const agent = await host.startAgent()
      return agent.waitReady()
    }
    /** Rows for single containers come and go by themselves within two seconds of a promotion. */
    const rowsOfHosts = async () => {
      expect((await a.ping(b.address)).received).to.equal(1)
      const routeCount = resolve === 'eager' ? 1 : 2 // with that of the overlay as a whole
      await statusBecomes(host, 'rows of hosts alone', ({ tables: { neighbours, routes } }) =>
        [neighbours.desired, neighbours.actual, routes.actual / routeCount].every((count) => count === 1),
      )
      return tableLines(host)
    }
    const saysWhy = (reason: string) =>
      statusBecomes(host, reason, ({ health }) => health.reasons.some(({ code }) => code === reason))
    const revisionOfSubnets = async () =>
      (await lab.etcdEntries()).map(({ key, revision, isLeased }) => [key, revision, isLeased])

    it('loses nothing by kill -9, and writes nothing to etcd or the kernel', async () => {
      const lines = await rowsOfHosts()
      const revision = await lab.etcdRevision()
      const { lease, device } = await host.status()
      const monitor = await host.monitorWrites()
      const lost = await lostDuring(a, b, async () => {
        await host.agent?.kill('SIGKILL')
        const status = await restarted()
        expect(status.lease?.subnet).to.equal(lease?.subnet)
        expect(status.device).to.deep.equal(device)
      })
      expect(lost).to.equal(0)
      expect(await monitor.stop()).to.deep.equal([])
      expect(await lab.etcdRevision()).to.equal(revision)
      expect(await tableLines(host)).to.deep.equal(lines).and.not.to.be.empty
    })

    it('loses nothing by SIGTERM, which exits with 0 and leaves lease and rows', async () => {
      const lines = await rowsOfHosts()
      const entries = await revisionOfSubnets()
      const leaseId = (await host.status()).lease?.leaseId ?? ''
      const monitor = await host.monitorWrites()
      const lost = await lostDuring(a, b, async () => {
        expect(await host.agent?.kill('SIGTERM')).to.deep.equal({ code: 0, signal: null })
        expect(await tableLines(host)).to.deep.equal(lines)
        expect(await revisionOfSubnets()).to.deep.equal(entries)
        expect(await lab.leaseSeconds(leaseId)).to.be.greaterThan(0)
        await restarted()
      })
      expect(lost).to.equal(0)
      expect(await monitor.stop()).to.deep.equal([])
      expect(await revisionOfSubnets()).to.deep.equal(entries)
    })

    it('takes the same subnet and MAC, and loses nothing, when its state directory is gone', async () => {
      const { lease, device } = await host.status()
      const lost = await lostDuring(a, b, async () => {
        await host.agent?.kill('SIGKILL')
        await rm(host.paths.stateDir, { recursive: true })
        const status = await restarted()
        expect(status.lease?.subnet).to.equal(lease?.subnet)
        expect(status.device?.mac).to.equal(device?.mac)
      })
      expect(lost).to.equal(0)
    })

    it('takes the same subnet and MAC after a reboot', async () => {
      const { lease, device } = await host.status()
      await host.agent?.kill('SIGKILL')
      await host.netns.batch(['link del tweed.1'])
      await rm(host.paths.runDir, { recursive: true })
      await rm(host.paths.subnetFile)
      const revision = await lab.etcdRevision()
      const status = await restarted()
      expect(status.lease?.subnet).to.equal(lease?.subnet)
      expect(status.device?.mac).to.equal(device?.mac)
      expect(await lab.etcdRevision()).to.equal(revision)
      expect((await b.ping(a.address)).received).to.equal(1)
      expect((await a.ping(b.address)).received).to.equal(1)
    })

    it('sweeps what a killed agent has left of the moment of promotion', async () => {
      await host.agent?.kill('SIGKILL')
      await host.netns.batch(['link del tweed.1'])
      await restarted()
      expect((await a.ping(b.address)).received).to.equal(1)
      await host.agent?.kill('SIGKILL')
      const isOfContainer = (line: string) => line.startsWith(`neigh ${b.address} `)
      const ofContainers = (await tableLines(host)).filter(isOfContainer)
      expect(ofContainers).to.have.length(resolve === 'eager' ? 0 : 1)
      const lost = await lostDuring(a, b, async () => {
        await restarted()
        await eventually('rows of hosts alone', async () =>
          (await tableLines(host)).some(isOfContainer) ? undefined : true,
        )
      })
      expect(lost).to.equal(0)
    })

    it('loses nothing when it restarts without etcd, and catches up when etcd is back', async () => {
      const rows = await rowsOfHosts()
      const lost = await lostDuring(a, b, async () => {
        await lab.etcd.kill()
        await host.agent?.kill('SIGKILL')
        await host.startAgent()
        const { health } = await saysWhy('etcd-unreachable')
        expect(health.state).to.equal('degraded')
      })
      expect(lost).to.equal(0)
      expect(await tableLines(host)).to.deep.equal(rows)
      expect((await host.status()).etcd.connected).to.equal(false)
      await lab.etcd.restart()
      await putFake(lab, 1)
      await statusBecomes(host, 'ready', (status) => status.health.state === 'ready', 30_000)
      await peerBecomes(host, fakeSubnet(1), (peer) => peer !== undefined)
    })

    it('brings the overlay up from disk when a reboot finds no etcd', async () => {
      await lab.etcd.kill()
      await host.agent?.kill('SIGKILL')
      await host.netns.batch(['link del tweed.1'])
      await rm(host.paths.runDir, { recursive: true })
      await rm(host.paths.subnetFile)
      await host.startAgent()
      await statusBecomes(host, 'degraded', ({ health }) => health.state === 'degraded')
      expect((await b.ping(a.address)).received).to.equal(1)
      expect((await a.ping(b.address)).received).to.equal(1)
      const { subnet } = await host.subnetEnv()
      expect(subnet).to.equal(((await host.status()).lease?.subnet ?? '').replace('.0/', '.1/'))
      await lab.etcd.restart()
      await statusBecomes(host, 'ready', (status) => status.health.state === 'ready', 30_000)
    })

    it('goes on where subnet.env is a directory, as docker makes of a file that it shall mount', async () => {
      const { total } = (await host.status()).peers
      await host.agent?.kill()
      await rm(host.paths.subnetFile)
      await mkdir(host.paths.subnetFile)
      const lost = await lostDuring(a, b, async () => {
        await host.startAgent()
        const { peers } = await saysWhy('state-unwritable')
        expect(peers.total).to.equal(total)
      })
      expect(lost).to.equal(0)
      await rmdir(host.paths.subnetFile)
      await statusBecomes(host, 'ready', (status) => status.health.state === 'ready', 30_000)
      expect((await host.subnetEnv()).subnet).not.to.equal('')
    })
  })
