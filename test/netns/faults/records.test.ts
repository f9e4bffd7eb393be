import { mkdir, rm } from 'node:fs/promises'
import { expect } from 'chai'
import { fakeKey, fakeRecord, fakes } from '../../support/faults/churn.ts'
import { FaultLab } from '../../support/faults/fault-lab.ts'
import { row } from '../../support/faults/rows.ts'
import type { Host } from '../../support/host.ts'
import { prefix } from '../../support/lab.ts'
import { halfConfig, peerBecomes, recordOf, subnetKey } from '../../support/overlay.ts'
import { eventually } from '../../support/process.ts'

/** Where agents have their subnets: the one that the spare host has given up is held for a while. */
const hostSubnets = Array.from({ length: 99 }, (_, i) => `10.5.${i + 1}.0/24`)

describe('etcd under fault: requests, configuration, records, access', function () {
  this.timeout(120_000)
  let lab: FaultLab
  let h1: Host
  /** Has no container that is pinged; its agent is started by the tests that need one. */
  let spare: Host
  before(async () => {
    lab = await FaultLab.create({ spares: 1 })
    h1 = lab.host(1)
    spare = lab.host(4)
  })
  after(() => lab.destroy())

  const everybodySays = (code: string) => lab.allHaveReasons((codes) => codes.includes(code))
  const everybodyIsWell = () => lab.allHaveReasons((codes) => codes.length === 0)
  const dismiss = async (host: Host) => {
    const key = await lab.keyOf(host)
    await host.agent?.kill('SIGTERM')
    await rm(host.paths.stateDir, { recursive: true })
    await mkdir(host.paths.stateDir)
    await rm(host.paths.subnetFile, { force: true })
    await lab.etcd.delete(key)
  }

  it(row(20), async () => {
    await lab.row(async () => {
      await lab.churn.stop()
      const before = new Set(await lab.hostRecords())
      const leases = (await lab.etcd.leases()).length
      const isNew = async () => (await lab.hostRecords()).filter((record) => !before.has(record))
      const agent = await spare.startAgent(lab.byWire)
      let claimed: string | undefined
      await lab.wires.loseAnswers('"Node"', async () => {
        claimed = await eventually('a record whose answer was lost', async () => (await isNew())[0])
      })
      await agent.waitReady(60_000)
      expect(await isNew(), 'records of the new host').to.deep.equal([claimed])
      expect((await lab.etcd.leases()).length, 'leases').to.equal(leases + 1)
    })
    await dismiss(spare)
    await lab.converged({ held: hostSubnets })
  })

  it(row(22), () =>
    lab.row(
      async () => {
        await lab.churn.stop()
        const records = (await lab.etcd.list(`${prefix}/subnets/`)).map(({ key }) => key.toString())
        const numbers = records
          .map((key) => Number(/10\.5\.(\d+)\.0-24$/.exec(key)?.[1]))
          .filter((n) => n < 100)
        // A range of four subnets around one that a host has, and the other three reserved.
        const first = Math.max(1, Math.min(...numbers))
        const range = [0, 1, 2, 3].map((i) => first + i)
        await lab.putConfig({ ...halfConfig, SubnetMin: `10.5.${first}.0`, SubnetMax: `10.5.${first + 3}.0` })
        const reserved = range.filter((n) => !numbers.includes(n))
        for (const n of reserved)
        await lab.etcd.put(subnetKey(`10.5.${n}.0/24`), recordOf(n, { publicIp: `203.0.113.${200 + n - first}`, mac: `02:00:5e:00:04:0${n - first}` })) // prettier-ignore
        await spare.startAgent()
        await lab.reasons(
          spare,
          (codes) => codes.includes('subnets-exhausted') && codes.includes('no-subnet'),
        )
        await lab.learns(h1)
        await lab.putConfig()
        await spare.agent?.waitReady(60_000)
        await dismiss(spare)
        for (const n of reserved) await lab.etcd.delete(subnetKey(`10.5.${n}.0/24`))
      },
      { held: hostSubnets },
    ),
  )

  it(row(23), () =>
    lab.row(
      async () => {
        await lab.etcd.delete(`${prefix}/config`)
        await everybodySays('config-missing')
        await lab.learns(h1)
        await lab.etcd.put(`${prefix}/config`, '{"Network": "10.5.')
        await everybodySays('config-invalid')
        await lab.learns(h1)
        await lab.putConfig({ Network: '10.77.0.0/16', Backend: { Type: 'vxlan' } })
        await everybodySays('config-announced')
        await lab.learns(h1)
        await lab.putConfig()
        await everybodyIsWell()
      },
      { held: hostSubnets },
    ),
  )

  it(row(24), () =>
    lab.row(async () => {
      await lab.churn.stop()
      const [absent, present] = [fakes + 1, 1]
      await lab.etcd.put(fakeKey(present), 'garbage') // first: whoever has heard of the other has heard of this
      await lab.etcd.put(fakeKey(absent), '{"PublicIP":')
      for (const host of lab.hosts) {
        await lab.says(host, new RegExp(`"record.rejected".*10\\.5\\.${100 + absent}\\.0-24|10\\.5\\.${100 + absent}\\.0-24.*"record.rejected"`)) // prettier-ignore
        await peerBecomes(host, `10.5.${100 + present}.0/24`, (peer) => peer?.state === 'programmed')
      }
      await lab.learns(h1)
      await lab.etcd.delete(fakeKey(absent))
      await lab.etcd.put(fakeKey(present), fakeRecord(present, 0))
    }),
  )

  it(row(25), async () => {
    const mac = (await lab.host(2).status()).device?.mac ?? ''
    const own = (await h1.status()).lease?.key ?? ''
    const big = 'x'.repeat(1_400_000)
    const records: Readonly<Record<string, string>> = {
      '0.0.0.0-0': recordOf(90),
      '10.5.0.0-16': recordOf(91),
      [`${own}&fc00::-64`]: recordOf(92),
      '10.5.191.0-24': recordOf(91, { publicIp: h1.address, node: 'x' }),
      '10.5.192.0-24': recordOf(92, { mac: '01:00:5e:00:00:01' }),
      '10.5.193.0-24': recordOf(93, { mac }),
      '10.5.194.0-24': recordOf(94, { publicIp: '0.0.0.0' }),
      '10.5.195.0-24': `{"PublicIP":"${big}"}`,
      '10.6.1.0-24': recordOf(95),
    }
    const keys = Object.keys(records)
    await lab.row(
      async () => {
        for (const [key, value] of Object.entries(records))
          await lab.etcd.put(`${prefix}/subnets/${key}`, value)
        for (const host of lab.hosts)
        await eventually(`${host.name} rejects all`, async () => {
          const rejected = (await host.peers()).filter(({ state }) => state === 'rejected').map(({ subnet }) => subnet)
          return keys.every((key) => rejected.includes(key)) || undefined
        }, 45_000) // prettier-ignore
        for (const host of lab.hosts) await lab.learns(host)
      },
      { rejected: keys },
    )
    for (const key of keys) await lab.etcd.delete(`${prefix}/subnets/${key}`)
    await lab.converged()
  })

  it(row(26), async () => {
    const root = ['--user', 'root:root-secret'] as const
    const ctl = (...args: readonly string[]) => lab.lab.etcdctl(...args)
    const login = ['--etcd-username', 'agent', '--etcd-password', 'agent-secret']
    await ctl('user', 'add', 'root:root-secret')
    await ctl('user', 'grant-role', 'root', 'root')
    await ctl('user', 'add', 'agent:agent-secret')
    await ctl('role', 'add', 'agent')
    await ctl('role', 'grant-permission', '--prefix=true', 'agent', 'readwrite', `${prefix}/`)
    await ctl('user', 'grant-role', 'agent', 'agent')
    await lab.row(async () => {
      await lab.churn.stop()
      await ctl('auth', 'enable')
      await lab.cutAgents()
      await everybodySays('etcd-denied')
      // With a login they are well again, and lose permission and tokens.
      for (const host of lab.hosts) {
        await host.agent?.kill('SIGTERM')
        await (await host.startAgent(login)).waitReady(60_000)
      }
      await ctl(...root, 'role', 'revoke-permission', '--prefix=true', 'agent', `${prefix}/`)
      await lab.cutAgents()
      await everybodySays('etcd-denied')
      await ctl(...root, 'role', 'grant-permission', '--prefix=true', 'agent', 'readwrite', `${prefix}/`)
      await everybodyIsWell()
      await lab.lab.etcd.kill() // simple tokens live in memory
      await lab.lab.etcd.restart()
      await everybodyIsWell()
      await ctl(...root, 'auth', 'disable')
    })
    for (const host of lab.hosts) await lab.restart(host)
  })
})
