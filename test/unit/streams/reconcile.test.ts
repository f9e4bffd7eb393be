import { expect } from 'chai'
import { map, NEVER, type Observable, of, Subject } from 'rxjs'
import { MemoryKernel } from '../../../src/adapters/memory/kernel.ts'
import { MemoryLeaseStore } from '../../../src/adapters/memory/lease-store.ts'
import { Fault } from '../../../src/core/fault.ts'
import { Forwarding } from '../../../src/core/forwarding.ts'
import { printRow } from '../../../src/core/kernel/notation.ts'
import type { VxlanSpec } from '../../../src/core/kernel/link.ts'
import { Port, Vni } from '../../../src/core/net/vni.ts'
import { Millis } from '../../../src/core/time.ts'
import type { StoredRecord } from '../../../src/core/overlay/record.ts'
import { type Outcome, reconcile$ } from '../../../src/streams/reconcile.ts'
import { VirtualTime } from '../../support/virtual-time.ts'
import { cidr4, ip4, me, own, recordOf, valueOf } from '../core/overlay/fixtures.ts'

const spec: VxlanSpec = {
  ...{
    family: 4,
    name: 'tweed.1',
    vni: Vni.flannel,
    port: Port.linuxVxlan,
    underlay: 1,
    local: me.ipv4.publicIp,
    mac: me.ipv4.vtepMac,
  },
  ...{ mtuBytes: 1450, learning: false, gbp: false, addresses: [cidr4('10.5.1.0/32')] },
  overlay: [cidr4('10.5.0.0/16')],
}
const minute = 60_000

/** The loop on a kernel that takes its time: 10 ms for each answer, two operations in a datagram. */
class Loop {
  readonly time = new VirtualTime()
  readonly kernel = new MemoryKernel({ clock: this.time.clock, latencyMs: 10, room: 2 })
  readonly store = new MemoryLeaseStore()
  readonly #link$ = new Subject<number>()
  readonly outcomes: Outcome[] = []
  readonly forwarding: Forwarding
  readonly stop: () => void
  link = 0

  constructor(
    resolve: 'eager' | 'on-miss',
    saved: readonly StoredRecord[] = [],
    records?: Observable<never>,
  ) {
    this.forwarding = new Forwarding({
      resolve,
      maxNeighbours: 1000,
      idle: Millis.of(0),
      removal: { holdMs: Millis.of(minute), brakeHoldMs: Millis.of(minute), brakeShare: 1, brakeCount: 1000 },
    })
    const running = reconcile$({
      kernel: this.kernel,
      clock: this.time.clock,
      forwarding: this.forwarding,
      own$: of(own()),
      links$: this.#link$.pipe(map((link) => ({ family: 4, link }))),
      records$: records ?? this.store.records$,
      savedRecords: saved,
      resyncMs: 10 * minute,
      idleCheckMs: 0,
    }).subscribe({
      next: (outcome) => this.outcomes.push(outcome),
      error: (error: unknown) => expect.fail(String(error)),
    })
    this.stop = () => {
      running.unsubscribe()
      this.time.end()
    }
  }

  /** The device is there. */
  begin(): this {
    this.kernel.ensureLink$(spec).subscribe({
      next: ({ index }) => (this.link = index),
      error: (error: unknown) => expect.fail(String(error)),
    })
    this.time.advance(20)
    this.lookAfterDevice()
    this.time.advance(100)
    this.outcomes.length = 0
    return this
  }

  /** As after every look at the device. */
  lookAfterDevice(): void {
    this.#link$.next(this.link)
  }

  put(...hosts: readonly number[]): this {
    for (const n of hosts) this.store.put(`10.5.${n}.0-24`, valueOf(n), '0')
    return this
  }

  tables(): readonly string[] {
    return this.kernel.namespace
      .ours(this.link)
      .map((row) => printRow(row, 'tweed.1'))
      .sort()
  }
  kinds(): readonly string[] {
    return this.outcomes.map(({ kind }) => kind)
  }
  datagrams(): readonly number[] {
    return this.outcomes.flatMap((outcome) => (outcome.kind === 'wrote' ? outcome.ops.length : []))
  }
}

const hostRows = (n: number): readonly string[] => {
  const hex = n.toString(16).padStart(2, '0')
  return [
    `fdb 02:00:00:00:00:${hex} dev tweed.1 dst 192.0.2.${n} self permanent`,
    `neigh 10.5.${n}.0 lladdr 02:00:00:00:00:${hex} nud permanent dev tweed.1`,
    `route 10.5.${n}.0/24 via 10.5.${n}.0 dev tweed.1 onlink proto 84`,
  ]
}
const overlay = 'route 10.5.0.0/16 dev tweed.1 scope link proto 84'

describe('reconcile$', () => {
  let loop: Loop
  afterEach(() => loop.stop())

  it('writes what is owed in datagrams of what the kernel has room for, and then is settled', () => {
    loop = new Loop('eager').begin().put(2, 3)
    loop.time.advance(200)
    expect(loop.kinds()).to.deep.equal(['wrote', 'wrote', 'wrote', 'settled'])
    expect(loop.datagrams()).to.deep.equal([2, 2, 2])
    expect(loop.tables()).to.deep.equal([...hostRows(2), ...hostRows(3)].sort())
  })

  it('writes one coalesced change for a burst of news that comes during a write', () => {
    loop = new Loop('eager').begin().put(2)
    loop.time.advance(5) // the first datagram is under way
    for (let i = 0; i < 50; i++) {
      loop.store.put(
        '10.5.3.0-24',
        valueOf(3, { BackendData: { VNI: 1, VtepMAC: `02:00:00:00:01:${i + 10}` } }),
        '0',
      )
      loop.time.advance(0.01)
    }
    loop.put(3)
    loop.time.advance(200)
    expect(loop.datagrams().reduce((a, b) => a + b, 0)).to.be.at.most(10)
    expect(loop.tables()).to.deep.equal([...hostRows(2), ...hostRows(3)].sort())
  })

  it('answers a miss between two datagrams of a bulk write', () => {
    loop = new Loop('on-miss').begin()
    const many = Array.from({ length: 40 }, (_, n) => n + 10)
    loop.put(2, ...many)
    loop.time.advance(10)
    for (const n of many) loop.kernel.send(ip4(`10.5.${n}.0`))
    loop.time.advance(1000)
    for (const n of many) loop.kernel.namespace.remove({ ...routeOf(loop, n) }, 84)
    loop.kernel.overrun() // forty routes are owed, twenty datagrams of 10 ms
    loop.time.advance(50)
    expect(loop.forwarding.ipv4.tables.pending).to.be.greaterThan(0)
    const way = loop.kernel.send(ip4('10.5.2.7'))
    expect(way).to.deep.equal({ kind: 'tunnel', mac: 0x02_00_00_00_00_02, vtep: ip4('192.0.2.2') })
    expect(loop.forwarding.ipv4.tables.pending, 'and the rest goes on').to.be.greaterThan(0)
    loop.time.advance(1000)
    expect(loop.tables()).to.include.members([overlay, ...hostRows(2), ...many.flatMap(hostRows)])
  })

  it('does not undo what a miss wrote by what was taken before', () => {
    loop = new Loop('on-miss').begin().put(2)
    loop.time.advance(10)
    loop.kernel.send(ip4('10.5.2.7'))
    loop.time.advance(2500)
    // Its host is back in use while the removal of its rows is on its way.
    loop.store.put('10.5.2.0-24', valueOf(2, { Leaving: true }), '0')
    loop.store.delete('10.5.2.0-24')
    loop.time.advance(3)
    loop.put(2)
    loop.time.advance(1)
    for (let i = 0; i < 20; i++) {
      loop.kernel.send(ip4('10.5.2.7'))
      loop.time.advance(51)
    }
    loop.time.advance(5000)
    expect(loop.tables()).to.deep.equal([...hostRows(2), overlay].sort())
    expect(loop.kernel.send(ip4('10.5.2.9')).kind).to.equal('tunnel')
  })

  it('repairs what somebody else does to a row, and tells', () => {
    loop = new Loop('eager').begin().put(2)
    loop.time.advance(100)
    loop.outcomes.length = 0
    const [row] = loop.kernel.namespace.ours(loop.link)
    if (row) loop.kernel.take(row)
    loop.time.advance(100)
    expect(loop.kinds()).to.deep.equal(['drifted', 'wrote', 'settled'])
    expect(loop.tables()).to.deep.equal(hostRows(2))
  })

  it('reads the tables again on overrun, when the device was looked after, and now and then', () => {
    loop = new Loop('eager').begin().put(2)
    loop.time.advance(100)
    const lose = (): void => {
      const [, , route] = loop.kernel.namespace.ours(loop.link)
      if (route) loop.kernel.unheard(() => loop.kernel.take(route))
      expect(loop.tables()).to.deep.equal(hostRows(2).slice(0, 2))
    }
    const doubts: readonly (() => void)[] = [
      (): void => loop.kernel.overrun(),
      (): void => loop.lookAfterDevice(),
      (): void => loop.time.advance(10 * minute),
    ]
    for (const doubt of doubts) {
      lose()
      doubt()
      loop.time.advance(100)
      expect(loop.tables()).to.deep.equal(hostRows(2))
    }
  })

  it('reads again when reading fails, and says why', () => {
    loop = new Loop('eager').begin().put(2)
    loop.time.advance(100)
    loop.outcomes.length = 0
    loop.kernel.refuse('dump', Fault.of('kernel-busy'), 'once')
    loop.lookAfterDevice()
    loop.time.advance(1000)
    expect(loop.outcomes.filter(({ kind }) => kind === 'failed')).to.deep.equal([
      { kind: 'failed', fault: Fault.of('kernel-busy') },
    ])
    expect(loop.kinds()).to.include('dumped')
  })

  it('moves to another device, although the old one can’t be read any more', () => {
    loop = new Loop('eager').begin().put(2)
    loop.time.advance(100)
    loop.kernel.deleteLink('tweed.1')
    loop.lookAfterDevice()
    loop.time.advance(2000)
    loop.begin()
    loop.time.advance(6000)
    expect(loop.tables()).to.deep.equal(hostRows(2))
    expect(loop.forwarding.ipv4.tables.pending).to.equal(0)
  })

  it('tries a refused row again when it is time, without any other event', () => {
    loop = new Loop('eager').begin()
    loop.kernel.refuse('ip neigh replace', Fault.of('kernel-busy'), 'once')
    loop.put(2)
    loop.time.advance(60)
    expect(loop.tables()).to.deep.equal([hostRows(2)[0], hostRows(2)[2]])
    loop.time.advance(200)
    expect(loop.tables()).to.deep.equal(hostRows(2))
    expect(loop.forwarding.ipv4.tables.neighbours.failures.size).to.equal(0)
  })

  it('tries a row of a refused answer again', () => {
    loop = new Loop('on-miss').begin().put(2)
    loop.time.advance(10)
    loop.kernel.refuse('ip route add 10.5.2.0', Fault.of('kernel-busy'), 'once')
    loop.kernel.send(ip4('10.5.2.0'))
    expect(loop.tables()).not.to.include(hostRows(2)[2])
    loop.time.advance(300)
    expect(loop.tables()).to.include.members([...hostRows(2)])
  })

  it('lets held peers go when their time is over', () => {
    loop = new Loop('eager').begin().put(2)
    loop.time.advance(100)
    loop.store.delete('10.5.2.0-24')
    loop.time.advance(minute - 100)
    expect(loop.tables()).to.deep.equal(hostRows(2))
    loop.time.advance(300)
    expect(loop.tables()).to.deep.equal([])
  })

  it('forwards by the records of the last run, and deletes nothing while etcd is silent', () => {
    loop = new Loop('eager', [recordOf(2)], NEVER).begin()
    const stale = { kind: 'fdb' as const, link: loop.link, mac: me.ipv4.vtepMac, vtep: ip4('192.0.2.9') }
    loop.kernel.unheard(() => loop.kernel.put(stale))
    loop.time.advance(30 * minute)
    expect(loop.tables()).to.deep.equal([
      'fdb 02:00:00:00:00:01 dev tweed.1 dst 192.0.2.9 self permanent',
      ...hostRows(2),
    ])
  })

  it('is silent when nothing happens', () => {
    loop = new Loop('eager').begin().put(2)
    loop.time.advance(100)
    loop.outcomes.length = 0
    loop.time.advance(9 * minute)
    expect(loop.outcomes).to.deep.equal([])
  })
})

const routeOf = (loop: Loop, n: number) => ({
  kind: 'route' as const,
  link: loop.link,
  dst: cidr4(`10.5.${n}.0/24`),
  via: ip4(`10.5.${n}.0`),
})
