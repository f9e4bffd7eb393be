import { expect } from 'chai'
import { Fault } from '../../../src/core/fault.ts'
import { Forwarding, type ForwardingOptions, type MissAnswer } from '../../../src/core/forwarding.ts'
import { printOp } from '../../../src/core/kernel/notation.ts'
import type { Op, Row } from '../../../src/core/kernel/rows.ts'
import type { StoredRecord } from '../../../src/core/overlay/record.ts'
import { Millis } from '../../../src/core/time.ts'
import { fdb, host, link, neighbour, route, typed } from './kernel/fixtures.ts'
import { cidr4, ip4, own, recordOf } from './overlay/fixtures.ts'

const at = Millis.of
const options: ForwardingOptions = {
  resolve: 'eager',
  maxNeighbours: 1000,
  idle: at(0),
  removal: { holdMs: at(60_000), brakeHoldMs: at(600_000), brakeShare: 0.3, brakeCount: 10 },
}
const containerRow = (n: number, ip: string): Row => ({ ...neighbour(n), ip: ip4(ip), state: 'noarp' })
const overlay: Row = { kind: 'route', link, dst: cidr4('10.5.0.0/16'), via: undefined }
const rowsOf = (ops: readonly Op[]): readonly Row[] => ops.map(({ row }) => row)
const idle = (...macs: readonly (readonly [number, number])[]) => ({
  idleMsByMac: new Map(macs.map(([n, ms]) => [fdb(n).mac, ms])),
})

/** Ready: own lease, device, an empty kernel, and these peers in etcd. */
const forwardingOf = (change: Partial<ForwardingOptions>, ...hosts: readonly number[]): Forwarding => {
  const forwarding = new Forwarding({ ...options, ...change })
  forwarding.setOwn(own(), at(0))
  forwarding.ipv4.setLink(link)
  forwarding.ipv4.dumped({ rows: [], idleMsByMac: new Map() }, at(0))
  forwarding.records({ kind: 'snapshot', records: hosts.map((n) => recordOf(n)) }, 100, at(0))
  return forwarding
}
const somebody = { port: 4711 }
const theKernel = { port: 0 }
/** When the kernel has no more questions after one at that time. */
const calm = (asked: number): Millis => at(asked + 1)
/** Datagram after datagram, until nothing is owed. */
const takeAll = (forwarding: Forwarding, now = at(0)): readonly Op[] => {
  const ops = forwarding.take(now, Infinity)
  return ops.length === 0 ? ops : [...ops, ...takeAll(forwarding, now)]
}
const dump = (forwarding: Forwarding, rows: readonly Row[], now = at(0), more: object = {}): void =>
  forwarding.ipv4.dumped({ rows, idleMsByMac: new Map(), ...more }, now)
const miss = (forwarding: Forwarding, ip: string, now: Millis): MissAnswer => {
  const answer = forwarding.miss(link, ip4(ip), now)
  if (!answer) throw new Error('the device is not ours')
  return answer
}
const put = (forwarding: Forwarding, record: StoredRecord, now = at(0)): void =>
  forwarding.records({ kind: 'changes', changes: [{ kind: 'put', record }] }, 101, now)
const drop = (forwarding: Forwarding, n: number, now = at(0)): void =>
  forwarding.records({ kind: 'changes', changes: [{ kind: 'delete', key: recordOf(n).key }] }, 102, now)

describe('Forwarding', () => {
  describe('in eager resolution', () => {
    it('wants three rows of each host', () => {
      expect(rowsOf(takeAll(forwardingOf({}, 2)))).to.deep.equal(host(2))
    })

    it('waits for whatever comes last: own identity, device or records', () => {
      const steps: readonly ((f: Forwarding) => void)[] = [
        (f) => f.setOwn(own(), at(0)),
        (f) => {
          f.ipv4.setLink(link)
          dump(f, [])
        },
        (f) => f.records({ kind: 'snapshot', records: [recordOf(2)] }, 100, at(0)),
      ]
      for (const [a, b, c] of [
        [0, 1, 2],
        [0, 2, 1],
        [1, 0, 2],
        [1, 2, 0],
        [2, 0, 1],
        [2, 1, 0],
      ]) {
        // prettier-ignore
        const forwarding = new Forwarding(options)
        for (const n of [a, b]) steps[n ?? 0]?.(forwarding)
        expect(takeAll(forwarding)).to.deep.equal([])
        steps[c ?? 0]?.(forwarding)
        expect(rowsOf(takeAll(forwarding))).to.deep.equal(host(2))
      }
    })

    it('wants everything again on another device', () => {
      const forwarding = forwardingOf({}, 2)
      takeAll(forwarding)
      forwarding.ipv4.setLink(8)
      expect(takeAll(forwarding), 'nothing before it has been read').to.deep.equal([])
      dump(forwarding, [])
      expect(rowsOf(takeAll(forwarding))).to.deep.equal(host(2).map((row) => ({ ...row, link: 8 })))
    })

    it('answers a miss by writing the rows of the host again', () => {
      const forwarding = forwardingOf({}, 2)
      takeAll(forwarding)
      const { result, ops } = miss(forwarding, '10.5.2.0', at(1000))
      expect(result).to.equal('answered')
      expect(rowsOf(ops)).to.deep.equal([fdb(2), neighbour(2)])
      expect(takeAll(forwarding, calm(1000))).to.deep.equal([])
    })
  })

  describe('before the first snapshot of etcd', () => {
    it('writes the peers of the last run, and deletes nothing', () => {
      const forwarding = new Forwarding(options)
      forwarding.setOwn(own(), at(0))
      forwarding.ipv4.setLink(link)
      dump(forwarding, host(9))
      forwarding.recall([recordOf(2)], at(0))
      expect(forwarding.mayPrune).to.equal(false)
      expect(rowsOf(takeAll(forwarding))).to.deep.equal(host(2))
      forwarding.records({ kind: 'snapshot', records: [recordOf(2)] }, 100, at(0))
      expect(forwarding.mayPrune).to.equal(true)
      expect(typed(takeAll(forwarding))).to.deep.equal([
        'ip route del 10.5.9.0/24 via 10.5.9.0 dev tweed.1 onlink proto 84',
        'ip neigh del 10.5.9.0 lladdr 02:00:00:00:00:09 nud permanent dev tweed.1',
        'bridge fdb del 02:00:00:00:00:09 dev tweed.1 dst 192.0.2.9 self permanent',
      ])
      expect(takeAll(forwarding)).to.deep.equal([])
    })
  })

  describe('an audit', () => {
    const audit = (forwarding: Forwarding, ...records: readonly StoredRecord[]): void =>
      forwarding.records({ kind: 'snapshot', records, audit: true }, 200, at(10))

    it('finds nothing while records wait for it to be known who we are, and takes effect then', () => {
      const forwarding = new Forwarding(options)
      forwarding.recall([recordOf(2)], at(0))
      forwarding.records({ kind: 'snapshot', records: [recordOf(2)] }, 100, at(0))
      audit(forwarding, recordOf(2), recordOf(3))
      expect(forwarding.missedEvents).to.equal(0)
      forwarding.setOwn(own(), at(20))
      expect([...forwarding.peers.keys()]).to.deep.equal([recordOf(2).key, recordOf(3).key])
    })

    it('brings no news where the watch has told everything', () => {
      const forwarding = forwardingOf({}, 2)
      put(forwarding, recordOf(3, { modRevision: 101 }))
      audit(forwarding, recordOf(2), recordOf(3, { modRevision: 101 }))
      expect(forwarding.missedEvents).to.equal(0)
    })

    it('counts the one change of a batch that the watch has swallowed, and takes effect all the same', () => {
      const forwarding = forwardingOf({})
      const changes = [3, 5].map(
        (n) => ({ kind: 'put', record: recordOf(n, { modRevision: 100 + n }) }) as const,
      )
      forwarding.records({ kind: 'changes', changes }, 105, at(0)) // 104 is missing
      expect(forwarding.missedEvents).to.equal(0)
      takeAll(forwarding)
      audit(forwarding, ...[3, 4, 5].map((n) => recordOf(n, { modRevision: 100 + n })))
      expect(forwarding.missedEvents).to.equal(1)
      expect(rowsOf(takeAll(forwarding))).to.deep.equal(host(4))
    })

    it('counts nothing that is newer than the last news, and no other list', () => {
      const forwarding = forwardingOf({}, 2)
      audit(forwarding, recordOf(2), recordOf(3, { modRevision: 150 }))
      forwarding.records({ kind: 'snapshot', records: [recordOf(7)] }, 210, at(20))
      expect(forwarding.missedEvents).to.equal(0)
    })
  })

  describe('a miss', () => {
    const resultOf = (forwarding: Forwarding, ip: string, now: number) => miss(forwarding, ip, at(now)).result

    it('is counted by its result', () => {
      const forwarding = forwardingOf({ resolve: 'on-miss' }, 2)
      const results = [
        resultOf(forwarding, '10.5.2.7', 0),
        resultOf(forwarding, '10.5.2.7', 20),
        resultOf(forwarding, '10.5.2.8', 21),
        resultOf(forwarding, '10.5.99.1', 22),
        resultOf(forwarding, '10.5.1.9', 23),
      ]
      const before = new Forwarding(options)
      before.ipv4.setLink(link)
      results.push(resultOf(before, '10.5.2.7', 24))
      expect(results).to.deep.equal(['promoted', 'throttled', 'answered', 'stranger', 'own', 'not-ready'])
      expect(forwarding.misses).to.deep.include({
        promoted: 1,
        throttled: 1,
        answered: 1,
        stranger: 1,
        own: 1,
      })
    })

    it('of a stranger is answered with silence, until a lease names its host', () => {
      const forwarding = forwardingOf({ resolve: 'on-miss' })
      takeAll(forwarding)
      expect(miss(forwarding, '10.5.2.7', at(0))).to.deep.equal({ result: 'stranger', ops: [] })
      put(forwarding, recordOf(2))
      expect(resultOf(forwarding, '10.5.2.7', 1)).to.equal('promoted')
    })

    it('is answered again after 50 ms', () => {
      const forwarding = forwardingOf({ resolve: 'on-miss' }, 2)
      expect([0, 49, 50].map((now) => resultOf(forwarding, '10.5.2.7', now))).to.deep.equal([
        'promoted',
        'throttled',
        'answered',
      ])
    })

    it('is limited to 20,000 in an instant, then to as many a second', () => {
      const forwarding = forwardingOf({ resolve: 'on-miss' }, ...Array.from({ length: 100 }, (_, n) => n + 2))
      const results: string[] = []
      for (let host = 2; host < 102; host++)
        for (let i = 0; i < 250; i++) results.push(resultOf(forwarding, `10.5.${host}.${i}`, 0))
      expect(results.indexOf('limited')).to.equal(20_000)
      expect(results.lastIndexOf('answered')).to.equal(19_999)
      expect(resultOf(forwarding, '10.5.101.9', 1)).to.equal('promoted')
    })
  })

  describe('in on-miss resolution', () => {
    const onMiss: Partial<ForwardingOptions> = { resolve: 'on-miss' }

    it('wants the way into the overlay and nothing of hosts that are not in use', () => {
      expect(rowsOf(takeAll(forwardingOf(onMiss, 2, 3)))).to.deep.equal([overlay])
    })

    it('answers the first miss with what the packet needs, in an order that is safe', () => {
      const forwarding = forwardingOf(onMiss, 2)
      takeAll(forwarding)
      const { ops } = miss(forwarding, '10.5.2.7', at(0))
      expect(ops.map((op) => printOp(op, 'tweed.1'))).to.deep.equal([
        'bridge fdb replace 02:00:00:00:00:02 dev tweed.1 dst 192.0.2.2 self permanent',
        'ip neigh replace 10.5.2.7 lladdr 02:00:00:00:00:02 nud noarp dev tweed.1',
      ])
    })

    it('writes the other rows of the host when no more misses come', () => {
      const forwarding = forwardingOf(onMiss, 2, 3)
      takeAll(forwarding)
      miss(forwarding, '10.5.2.7', at(0))
      miss(forwarding, '10.5.3.7', at(2))
      expect(forwarding.nextDeadline()).to.equal(calm(2))
      expect(takeAll(forwarding, at(2.5))).to.deep.equal([])
      expect(typed(takeAll(forwarding, calm(2)))).to.deep.equal([
        'ip neigh replace 10.5.2.0 lladdr 02:00:00:00:00:02 nud permanent dev tweed.1',
        'ip neigh replace 10.5.3.0 lladdr 02:00:00:00:00:03 nud permanent dev tweed.1',
        'ip route add 10.5.2.0/24 via 10.5.2.0 dev tweed.1 onlink proto 84',
        'ip route add 10.5.3.0/24 via 10.5.3.0 dev tweed.1 onlink proto 84',
      ])
      expect(takeAll(forwarding, at(1000))).to.deep.equal([])
    })

    it('writes those of a few hosts every tenth of a second while misses never cease', () => {
      const forwarding = forwardingOf(onMiss, ...Array.from({ length: 200 }, (_, n) => n + 2))
      takeAll(forwarding)
      const written: (readonly [at: number, rows: number])[] = []
      for (let ms = 0; ms < 200; ms++) {
        miss(forwarding, `10.5.${ms + 2}.7`, at(ms))
        const ops = forwarding.take(at(ms), 8)
        if (ops.length > 0) written.push([ms, ops.length])
      }
      expect(written).to.deep.equal([[100, 8]])
      expect(rowsOf(forwarding.take(calm(200), 2))).to.deep.equal([neighbour(6), route(6)])
    })

    it('lets no promotion keep what peers need waiting', () => {
      const forwarding = forwardingOf(onMiss, 2, 3, 4)
      takeAll(forwarding)
      miss(forwarding, '10.5.2.7', at(0))
      takeAll(forwarding, calm(0))
      for (const n of [3, 4]) miss(forwarding, `10.5.${n}.7`, at(10))
      put(
        forwarding,
        recordOf(2, { value: recordOf(2).value.replace('192.0.2.2', '192.0.2.99'), modRevision: 300 }),
      )
      expect(rowsOf(forwarding.take(calm(10), 1))).to.deep.equal([fdb(2, '192.0.2.99')])
    })

    it('promotes nobody who is gone', () => {
      const forwarding = forwardingOf({ ...onMiss, maxNeighbours: 1 }, 2, 3)
      takeAll(forwarding)
      miss(forwarding, '10.5.2.0', at(0))
      miss(forwarding, '10.5.3.0', at(1))
      expect(rowsOf(takeAll(forwarding, calm(1)))).to.deep.equal([neighbour(2), fdb(2), route(3)])
    })

    it('takes the row of a container away two seconds later, when the route of its host stands', () => {
      const forwarding = forwardingOf(onMiss, 2)
      takeAll(forwarding)
      miss(forwarding, '10.5.2.7', at(0))
      takeAll(forwarding, calm(0))
      expect(forwarding.nextDeadline()).to.equal(2000)
      forwarding.tick(at(1999))
      expect(takeAll(forwarding, at(1999))).to.deep.equal([])
      forwarding.tick(at(2000))
      expect(takeAll(forwarding, at(2000))).to.deep.equal([
        { verb: 'remove', row: containerRow(2, '10.5.2.7') },
      ])
      expect(forwarding.nextDeadline()).to.equal(undefined)
    })

    it('keeps the row of a container while the route of its host is refused', () => {
      const forwarding = forwardingOf(onMiss, 2)
      takeAll(forwarding)
      miss(forwarding, '10.5.2.7', at(0))
      const refused = takeAll(forwarding, calm(0)).find(({ row }) => row.kind === 'route')
      if (refused) forwarding.refused(refused, Fault.of('route-conflict'), at(0))
      forwarding.tick(at(2000))
      expect(takeAll(forwarding, at(2000))).to.deep.equal([])
      expect(forwarding.nextDeadline(), 'not at once again').to.equal(4000)
      forwarding.edited('add', route(2), somebody, at(2000))
      forwarding.tick(at(4000))
      expect(rowsOf(takeAll(forwarding, at(4000)))).to.deep.equal([containerRow(2, '10.5.2.7')])
    })

    it('takes no eviction of a container’s row for drift: its next packet is a miss again', () => {
      const forwarding = forwardingOf(onMiss, 2)
      takeAll(forwarding)
      miss(forwarding, '10.5.2.7', at(0))
      takeAll(forwarding, calm(0))
      const row = containerRow(2, '10.5.2.7')
      expect(forwarding.edited('remove', row, theKernel, at(10))).to.equal(undefined)
      expect(takeAll(forwarding, at(10))).to.deep.equal([])
      expect(miss(forwarding, '10.5.2.7', at(20)).result).to.equal('answered')
      expect(forwarding.edited('remove', row, somebody, at(30))?.isNew).to.equal(true)
      expect(rowsOf(takeAll(forwarding, at(30)))).to.deep.equal([row])
      expect(forwarding.edited('remove', neighbour(2), theKernel, at(40))?.isNew, 'of a host').to.equal(true)
    })

    it('takes the rows of containers away with their host', () => {
      const forwarding = forwardingOf(onMiss, 2)
      takeAll(forwarding)
      miss(forwarding, '10.5.2.7', at(0))
      takeAll(forwarding, calm(0))
      put(forwarding, { ...recordOf(2), modRevision: 500, value: leaving(2) })
      drop(forwarding, 2)
      expect(rowsOf(takeAll(forwarding))).to.have.deep.members([...host(2), containerRow(2, '10.5.2.7')])
    })

    it('lets the host that was used least recently go at the bound', () => {
      const forwarding = forwardingOf({ ...onMiss, maxNeighbours: 2 }, 2, 3, 4)
      takeAll(forwarding)
      miss(forwarding, '10.5.2.0', at(0))
      miss(forwarding, '10.5.3.0', at(100))
      miss(forwarding, '10.5.2.0', at(200))
      takeAll(forwarding, calm(200))
      miss(forwarding, '10.5.4.0', at(300))
      expect(rowsOf(takeAll(forwarding, at(300)))).to.deep.equal(host(3).toReversed())
    })

    it('lets the packets to an evicted host pass, or ask again, before it removes what they need next', () => {
      const forwarding = forwardingOf({ ...onMiss, maxNeighbours: 1 }, 2, 3)
      takeAll(forwarding)
      miss(forwarding, '10.5.2.7', at(0))
      takeAll(forwarding, calm(0))
      miss(forwarding, '10.5.3.7', at(10))
      const datagrams = Array.from({ length: 5 }, () => typed(forwarding.take(calm(10), Infinity)))
      expect(datagrams).to.deep.equal([
        ['ip route del 10.5.2.0/24 via 10.5.2.0 dev tweed.1 onlink proto 84'],
        [
          'ip neigh change 10.5.2.7 nud failed dev tweed.1',
          'ip neigh change 10.5.2.0 nud failed dev tweed.1',
        ],
        ['bridge fdb del 02:00:00:00:00:02 dev tweed.1 dst 192.0.2.2 self permanent'],
        [
          'ip neigh replace 10.5.3.0 lladdr 02:00:00:00:00:03 nud permanent dev tweed.1',
          'ip route add 10.5.3.0/24 via 10.5.3.0 dev tweed.1 onlink proto 84',
        ],
        [],
      ])
    })

    it('removes nothing of an evicted host that is in use again meanwhile', () => {
      const forwarding = forwardingOf({ ...onMiss, maxNeighbours: 1 }, 2, 3)
      takeAll(forwarding)
      miss(forwarding, '10.5.2.7', at(0))
      takeAll(forwarding, calm(0))
      miss(forwarding, '10.5.3.7', at(10))
      expect(rowsOf(forwarding.take(at(11), Infinity)), 'one table').to.deep.equal([route(2)])
      miss(forwarding, '10.5.2.7', at(12))
      expect(typed(takeAll(forwarding, at(12)))).not.to.deep.include(
        'bridge fdb del 02:00:00:00:00:02 dev tweed.1 dst 192.0.2.2 self permanent',
      )
    })

    it('lets idle hosts go by the ages that the FDB tells', () => {
      const forwarding = forwardingOf({ ...onMiss, idle: at(60_000) }, 2, 3)
      takeAll(forwarding)
      miss(forwarding, '10.5.2.0', at(0))
      miss(forwarding, '10.5.3.0', at(0))
      takeAll(forwarding, calm(0))
      dump(forwarding, [overlay, ...host(2), ...host(3)], at(61_000), idle([2, 61_000], [3, 1000]))
      expect(rowsOf(takeAll(forwarding, at(61_000)))).to.deep.equal(host(2).toReversed())
      expect(forwarding.peers.size).to.equal(2)
    })

    it('takes a host whose route stands for one in use, after a restart', () => {
      for (const recordsFirst of [true, false]) {
        const forwarding = new Forwarding({ ...options, ...onMiss })
        forwarding.setOwn(own(), at(0))
        forwarding.ipv4.setLink(link)
        const records = (): void =>
          forwarding.records({ kind: 'snapshot', records: [recordOf(2), recordOf(3)] }, 100, at(0))
        if (recordsFirst) records()
        dump(forwarding, [overlay, ...host(2)])
        if (!recordsFirst) records()
        expect(takeAll(forwarding), `records first: ${recordsFirst}`).to.deep.equal([])
        expect([...forwarding.peers.values()].map((peer) => forwarding.hasRows(peer))).to.deep.equal([
          true,
          false,
        ])
      }
    })

    it('forgets the use of a host that left, and remembers that of one that changed', () => {
      const forwarding = forwardingOf(onMiss, 2)
      takeAll(forwarding)
      miss(forwarding, '10.5.2.0', at(0))
      takeAll(forwarding, calm(0))
      const moved = recordOf(2).value.replace('192.0.2.2', '192.0.2.99')
      put(forwarding, recordOf(2, { value: moved, modRevision: 300 }))
      expect(rowsOf(takeAll(forwarding))).to.deep.equal([fdb(2, '192.0.2.99')])
      put(forwarding, { ...recordOf(2), modRevision: 500, value: leaving(2) })
      drop(forwarding, 2)
      takeAll(forwarding)
      put(forwarding, recordOf(2, { modRevision: 600 }))
      expect(takeAll(forwarding)).to.deep.equal([])
    })
  })

  describe('what comes back from the kernel', () => {
    it('is repaired, row by row', () => {
      const forwarding = forwardingOf({}, 2)
      takeAll(forwarding)
      for (const row of host(2)) {
        forwarding.edited('remove', row, somebody, at(0))
        expect(rowsOf(takeAll(forwarding))).to.deep.equal([row])
      }
      forwarding.edited('add', fdb(2, '192.0.2.66'), somebody, at(0))
      expect(rowsOf(takeAll(forwarding))).to.deep.equal([fdb(2)])
    })

    it('is repaired more and more slowly when somebody undoes it again and again', () => {
      const forwarding = forwardingOf({}, 2)
      takeAll(forwarding)
      const wrong = fdb(2, '192.0.2.66')
      const undo = (now: number) => forwarding.edited('add', wrong, somebody, at(now))
      const repairedAt = (from: number): number => {
        for (let now = from; ; now = forwarding.nextDeadline() ?? Infinity) {
          forwarding.tick(at(now))
          if (takeAll(forwarding, at(now)).length > 0) return now
        }
      }
      const waits: number[] = []
      let now = 0
      for (let i = 0; i < 14; i++) {
        const drift = undo(now)
        expect(drift?.began).to.equal(i === 4)
        expect(undo(now)?.isNew, 'it is owed already').to.equal(false)
        const then = repairedAt(now)
        waits.push(then - now)
        now = then + 10
      }
      expect(waits).to.deep.equal([
        ...[0, 0, 0, 0, 200, 400, 800, 1600, 3200, 6400],
        ...[10_000, 10_000, 10_000, 10_000],
      ])
      expect(forwarding.fights.ongoing.map(({ row, repairs }) => ({ row, repairs }))).to.deep.equal([
        { row: fdb(2), repairs: 14 },
      ])
      const over = forwarding.nextDeadline() ?? at(0)
      expect(over).to.equal(now - 10 + 10_000)
      forwarding.tick(over)
      expect(forwarding.fights.ongoing).to.deep.equal([])
      undo(over)
      expect(takeAll(forwarding, over), 'an edit like any other').to.have.lengthOf(1)
    })

    it('is no fight when different rows change, or one now and then', () => {
      const forwarding = forwardingOf({}, ...Array.from({ length: 50 }, (_, n) => n + 2))
      takeAll(forwarding)
      for (let round = 0; round < 20; round++)
        for (let n = 2; n < 52; n++) {
          const drift = forwarding.edited('remove', route(n), somebody, at(round * 2600))
          expect(drift?.fight).to.equal(undefined)
          takeAll(forwarding, at(round * 2600))
        }
    })

    it('is no fight when the device goes down and up, over and over', () => {
      const forwarding = forwardingOf({}, 2)
      takeAll(forwarding)
      for (let i = 0; i < 20; i++) {
        forwarding.edited('remove', neighbour(2), theKernel, at(i))
        expect(rowsOf(takeAll(forwarding, at(i)))).to.deep.equal([neighbour(2)])
      }
    })

    it('is written at once when something else is wanted than what is fought over', () => {
      const forwarding = forwardingOf({}, 2)
      takeAll(forwarding)
      for (let i = 0; i < 5; i++) {
        forwarding.edited('add', fdb(2, '192.0.2.66'), somebody, at(i))
        takeAll(forwarding, at(i))
      }
      expect(takeAll(forwarding, at(10))).to.deep.equal([])
      put(
        forwarding,
        recordOf(2, { value: recordOf(2).value.replace('192.0.2.2', '192.0.2.99'), modRevision: 300 }),
      )
      expect(rowsOf(takeAll(forwarding, at(10)))).to.deep.equal([fdb(2, '192.0.2.99')])
    })

    it('sets the time of the next try', () => {
      const forwarding = forwardingOf({}, 2)
      const [op] = takeAll(forwarding)
      if (op) forwarding.refused(op, Fault.of('kernel-busy'), at(1000))
      expect(forwarding.nextDeadline()).to.equal(1100)
      expect(rowsOf(takeAll(forwarding, at(1100)))).to.deep.equal([fdb(2)])
    })

    it('too late, about a device that is gone, delays nothing on its successor', () => {
      const forwarding = forwardingOf({}, 2)
      const written = takeAll(forwarding)
      forwarding.ipv4.setLink(8)
      dump(forwarding, [])
      for (const op of written) forwarding.refused(op, Fault.of('kernel-refused'), at(0))
      expect(takeAll(forwarding, at(1))).to.have.lengthOf(3)
    })

    it('is tried again at once when the device has been looked after', () => {
      const forwarding = forwardingOf({}, 2)
      for (const op of takeAll(forwarding)) forwarding.refused(op, Fault.of('kernel-refused'), at(0))
      expect(takeAll(forwarding, at(1))).to.deep.equal([])
      forwarding.ipv4.setLink(link)
      expect(takeAll(forwarding, at(1))).to.have.lengthOf(3)
    })
  })

  it('holds a peer whose record is deleted, and tells when its time is over', () => {
    const forwarding = forwardingOf({}, 2)
    takeAll(forwarding)
    drop(forwarding, 2, at(1000))
    expect(takeAll(forwarding)).to.deep.equal([])
    expect(forwarding.nextDeadline()).to.equal(61_000)
    forwarding.tick(at(61_000))
    expect(rowsOf(takeAll(forwarding))).to.deep.equal(host(2).toReversed())
    expect(forwarding.peers.size).to.equal(0)
  })

  it('knows since when a peer is as it is', () => {
    const forwarding = forwardingOf({})
    put(forwarding, recordOf(2), at(5))
    put(forwarding, recordOf(2, { modRevision: 999 }), at(6))
    const [peer] = forwarding.peers.values()
    expect(peer && forwarding.since(peer)).to.equal(5)
  })
})

const leaving = (n: number): string =>
  JSON.stringify({ ...(JSON.parse(recordOf(n).value) as object), Leaving: true })
