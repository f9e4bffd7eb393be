import { expect } from 'chai'
import { back, FaultLab, gone } from '../../support/faults/fault-lab.ts'
import type { Member } from '../../support/faults/member.ts'
import { row } from '../../support/faults/rows.ts'
import type { Host } from '../../support/host.ts'
import { tableLines } from '../../support/overlay.ts'

const lost = /"lease\.(lost|conflict)"/

describe('etcd under fault: members', function () {
  this.timeout(120_000)
  let lab: FaultLab
  let h1: Host
  before(async () => {
    lab = await FaultLab.create()
    h1 = lab.host(1)
  })
  after(() => lab.destroy())

  /** The agent of h1 loses its member and finds another while the fault lasts. */
  const rotates = async (fault: (member: Member) => Promise<void> | void) => {
    const from = lab.heard(h1)
    const member = await lab.attached(h1)
    await fault(member)
    await lab.says(h1, gone, from)
    await lab.says(h1, back, from)
    expect(await lab.attached(h1)).not.to.equal(member)
    await lab.learns(h1)
  }

  it(row(1), () => lab.row(() => rotates((member) => member.kill())))

  it(row(2), () =>
    lab.row(async () => {
      const leader = await lab.leader()
      await leader.kill()
      await lab.learns(h1)
    }),
  )

  it(row(3), () => lab.row(() => rotates((member) => member.pause())))

  it(row(4), () => lab.row(() => rotates((member) => member.blackhole())))

  it(row(5), () =>
    lab.row(async () => {
      const from = lab.heardOfAll()
      await lab.all((member) => member.refuse())
      await lab.allSay(gone, from)
      const attempts = async () => {
        const counts = await Promise.all(lab.members.map((member) => member.attempts()))
        return counts.reduce((a, b) => a + b, 0)
      }
      const [before, start] = [await attempts(), performance.now()]
      await lab.expectCalm()
      const perSecond = ((await attempts()) - before) / ((performance.now() - start) / 1000)
      expect(perSecond / lab.hosts.length, 'connects per second and agent').to.be.lessThan(1)
      expect(await lab.reasons(h1, (codes) => codes.length > 0)).to.include('etcd-unreachable')
      await lab.all((member) => member.heal())
      await lab.allSay(back, from)
    }),
  )

  it(row(6), async () => {
    await lab.restart(h1, lab.byWire)
    await lab.row(async () => {
      const from = lab.heard(h1)
      lab.wires.tarpit()
      await lab.says(h1, gone, from)
      await lab.expectCalm([h1])
      lab.wires.serve() // for new connections; the frozen ones stay so
      await lab.says(h1, back, from)
      await lab.learns(h1)
    })
    await lab.restart(h1)
  })

  it(row(7), () =>
    lab.row(async () => {
      const from = lab.heardOfAll()
      const attached = await lab.attached(h1)
      for (const member of lab.others(attached)) member.pause()
      await lab.says(h1, /"etcd-no-leader"/, from[0])
      await lab.allSay(gone, from)
      await lab.expectCalm()
      for (const member of lab.others(attached)) member.resume()
      await lab.allSay(back, from)
      for (const [i, host] of lab.hosts.entries())
        expect(host.agent?.logs.slice(from[i]).filter((text) => lost.test(text))).to.deep.equal([])
    }),
  )

  it(row(8), () => lab.row(() => rotates((member) => member.partition())))

  it(row(9), async () => {
    await lab.shortenLeases(5)
    await lab.row(async () => {
      const from = lab.heardOfAll()
      const keys = await Promise.all(lab.hosts.map((host) => lab.keyOf(host)))
      await lab.churn.stop()
      await lab.converged() // nobody is held, whose time could end meanwhile
      await lab.lab.etcd.kill()
      await lab.allSay(gone, from)
      const rows = await tableLines(h1)
      await lab.expectCalm()
      // A leader that starts gives every lease its whole time again, so the agents are kept away for longer.
      await lab.all((member) => member.refuse())
      await lab.lab.etcd.restart()
      for (const key of keys) await lab.vanishes(key)
      expect(await tableLines(h1)).to.deep.equal(rows)
      await lab.heal()
      await lab.allSay(/"lease.lost"/, from)
      await lab.allSay(/"lease.owned"/, from)
    })
  })

  it(row(18), async () => {
    await lab.shortenLeases(6)
    await lab.row(async () => {
      const from = lab.heardOfAll()
      for (let round = 0; round < 3; round++) {
        const leader = await lab.leader()
        await leader.kill()
        await lab.leader()
        await leader.heal()
      }
      for (const [i, host] of lab.hosts.entries())
        expect(host.agent?.logs.slice(from[i]).filter((text) => lost.test(text))).to.deep.equal([])
    })
  })
})
