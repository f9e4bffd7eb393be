import { expect } from 'chai'
import { back, FaultLab, gone } from '../../support/faults/fault-lab.ts'
import { fakeKey, fakeRecord } from '../../support/faults/churn.ts'
import { row } from '../../support/faults/rows.ts'
import type { Host } from '../../support/host.ts'
import { prefix } from '../../support/lab.ts'
import { eventually } from '../../support/process.ts'

describe('etcd under fault: data', function () {
  this.timeout(120_000)
  let lab: FaultLab
  let h1: Host
  before(async () => {
    lab = await FaultLab.create()
    h1 = lab.host(1)
  })
  after(() => lab.destroy())

  it(row(10), () =>
    lab.row(async () => {
      const from = lab.heardOfAll()
      await lab.churn.stop() // or the writer would bring back too soon whom the agents are to miss
      const keys = await Promise.all(lab.hosts.map((host) => lab.keyOf(host)))
      await lab.wipe()
      await lab.allSay(gone, from)
      await lab.allSay(back, from)
      for (const key of keys) await lab.appears(key)
      for (const host of lab.hosts) {
        await lab.reasons(host, (codes) => codes.includes('peers-held') && codes.includes('config-missing'))
        const held = (await host.peers()).filter(({ state }) => state === 'held')
        expect(new Set(held.map(({ detail }) => detail.split(';')[0]))).to.deep.equal(new Set(['mass']))
      }
      await lab.putConfig()
      await lab.churn.fill()
      await lab.allHaveReasons((codes) => codes.length === 0)
    }),
  )

  it(row(11), () =>
    lab.row(async () => {
      const [h2, h3] = [lab.host(2), lab.host(3)]
      await lab.churn.stop()
      const [key2, key] = [await lab.keyOf(h2), await lab.keyOf(h3)]
      await h2.netns.ip('addr', 'add', '192.0.2.112/24', 'dev', 'eth0')
      await lab.restart(h2, ['--public-ip', '192.0.2.112'])
      h3.agent?.signal('SIGSTOP')
      await lab.etcd.delete(key)
      const backup = await lab.backup()
      h3.agent?.signal('SIGCONT')
      await lab.appears(key)
      await lab.restart(h2)
      const from = lab.heardOfAll()
      // Everything is newer than the backup by now, and the revision far beyond it.
      await lab.etcd.delete(await lab.keyOf(h2))
      await lab.appears(await lab.keyOf(h2))
      await lab.churn.burst(400)
      await lab.restore(backup)
      await lab.allSay(gone, from)
      await lab.appears(key)
      await eventually('its address of today again', async () =>
        (await lab.etcd.get(key2))?.value.includes('"192.0.2.12"') ? true : undefined,
      )
      for (const host of lab.hosts) await lab.learns(host)
    }),
  )

  it(row(12), () =>
    lab.row(async () => {
      await lab.churn.stop()
      await lab.converged()
      const monitor = await h1.monitorWrites()
      const from = lab.heard(h1)
      await lab.all((member) => member.blackhole())
      await lab.says(h1, gone, from)
      for (const number of [1, 2, 3]) await lab.etcd.put(fakeKey(number), await other(number))
      await lab.etcd.delete(fakeKey(4))
      await lab.etcd.compact()
      await lab.all((member) => member.heal())
      await lab.says(h1, back, from)
      await lab.converged({ held: ['10.5.104.0/24'] })
      const strangers = (await monitor.stop()).filter(
        (line) => !/10\.5\.10[123]\.0|02:00:5e:00:0[01]:0[123]/.test(line),
      )
      expect(strangers, 'rows of others').to.deep.equal([])
      await lab.churn.fill()
    }),
  )

  for (const { way, missed, times, afterBytes } of [
    { way: 'catching up', missed: 2000, times: 8, afterBytes: (cut: number) => 3000 * (cut + 1) },
    { way: 'listing', missed: 4000, times: 4, afterBytes: () => 2000 },
  ])
    it(`${row(13)} (${way})`, async () => {
      await lab.restart(h1, lab.byWire)
      await lab.row(async () => {
        await lab.churn.stop()
        const from = lab.heard(h1)
        lab.wires.refuse()
        await lab.says(h1, gone, from)
        await lab.churn.burst(missed)
        await lab.wires.cutMidStream(times, afterBytes)
        await lab.learns(h1)
      })
      await lab.restart(h1)
    })

  it(row(19), () =>
    lab.row(async () => {
      const from = lab.heardOfAll()
      await lab.churn.stop()
      const lease = await lab.etcd.grant(600)
      for (let n = 1; n <= 60; n++) await lab.etcd.put(fakeKey(n), fakeRecord(n, 0), lease)
      await lab.converged()
      await Promise.all((await lab.etcd.leases()).map((id) => lab.etcd.revoke(id)))
      await lab.allSay(/"lease.lost"/, from)
      await lab.allSay(/"lease.owned"/, from)
      await lab.allHaveReasons((codes) => codes.includes('peers-held'))
      await lab.churn.fill()
    }),
  )

  /** A record of the fake peer that differs from the one it has. */
  const other = async (number: number): Promise<string> => {
    const now = (await lab.etcd.get(fakeKey(number)))?.value.toString()
    const next = [0, 1].map((version) => fakeRecord(number, version)).find((record) => record !== now)
    return next ?? `${prefix} has no record`
  }
})
