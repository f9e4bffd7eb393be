import { expect } from 'chai'
import { Fault } from '../../../../src/core/fault.ts'
import type { Op } from '../../../../src/core/kernel/rows.ts'
import { Tables } from '../../../../src/core/kernel/tables.ts'
import { Millis } from '../../../../src/core/time.ts'
import { fdb, host, kinds, neighbour, route, typed } from './fixtures.ts'

const now = Millis.of(0)
const all = { limit: Infinity, prune: true }

describe('Tables', () => {
  let tables: Tables
  beforeEach(() => (tables = new Tables()))
  const datagrams = (count: number) => Array.from({ length: count }, () => kinds(tables.take(now, all)))
  const settle = (): readonly Op[] => {
    const ops = tables.take(now, all)
    return ops.length === 0 ? ops : [...ops, ...settle()]
  }

  it('add FDB entries before neighbours before routes, of all hosts', () => {
    for (const n of [3, 2]) for (const row of host(n).toReversed()) tables.want(row)
    expect(kinds(settle())).to.deep.equal([
      ...['add fdb', 'add fdb'],
      ...['add neighbour', 'add neighbour'],
      ...['add route', 'add route'],
    ])
  })

  it('remove routes before neighbours before FDB entries', () => {
    tables.dumped(host(2))
    expect(kinds(settle())).to.deep.equal(['remove route', 'remove neighbour', 'remove fdb'])
  })

  it('remove of one table at a time: a packet that has found a route needs its neighbour a moment later', () => {
    tables.dumped([...host(2), ...host(3)])
    expect(datagrams(4)).to.deep.equal([
      ['remove route', 'remove route'],
      ['remove neighbour', 'remove neighbour'],
      ['remove fdb', 'remove fdb'],
      [],
    ])
  })

  it('add before they remove, so that a moved host is never without a way', () => {
    for (const row of host(2)) tables.want(row)
    settle()
    const moved = neighbour(2, '02:00:00:00:00:22')
    tables.unwant(fdb(2))
    tables.want({ ...fdb(2), mac: moved.mac })
    tables.want(moved)
    expect(typed(settle())).to.deep.equal([
      'bridge fdb replace 02:00:00:00:00:22 dev tweed.1 dst 192.0.2.2 self permanent',
      'ip neigh replace 10.5.2.0 lladdr 02:00:00:00:00:22 nud permanent dev tweed.1',
      'bridge fdb del 02:00:00:00:00:02 dev tweed.1 dst 192.0.2.2 self permanent',
    ])
  })

  it('keep the order across the limit of a datagram', () => {
    for (const n of [2, 3]) for (const row of host(n)) tables.want(row)
    const taken = Array.from({ length: 4 }, () => kinds(tables.take(now, { limit: 2, prune: true })))
    expect(taken).to.deep.equal([
      ['add fdb', 'add fdb'],
      ['add neighbour', 'add neighbour'],
      ['add route', 'add route'],
      [],
    ])
  })

  it('delete nothing while they may not prune, and owe it all the same', () => {
    tables.dumped([...host(2), ...host(3)])
    for (const row of host(2)) tables.want(row)
    expect(tables.take(now, { limit: Infinity, prune: false })).to.deep.equal([])
    expect(tables.pending).to.equal(3)
    expect(kinds(settle())).to.deep.equal(['remove route', 'remove neighbour', 'remove fdb'])
  })

  it('replace nothing while they may not prune: what stands may be newer than what is wanted', () => {
    tables.dumped([route(2, '10.5.66.0')])
    tables.want(route(2))
    expect(tables.take(now, { limit: Infinity, prune: false })).to.deep.equal([])
    expect(typed(tables.take(now, { limit: Infinity, prune: true }))).to.deep.equal([
      'ip route replace 10.5.2.0/24 via 10.5.2.0 dev tweed.1 onlink proto 84',
    ])
  })

  it('tell the earliest retry of all tables', () => {
    for (const row of host(2)) tables.want(row)
    const [first, second] = settle()
    if (first) tables.refused(first, Fault.of('kernel-refused'), now)
    if (second) tables.refused(second, Fault.of('kernel-busy'), now)
    expect(tables.nextRetry()).to.equal(100)
    expect(kinds(tables.take(Millis.of(100), all))).to.deep.equal(['add neighbour'])
    expect(tables.nextRetry()).to.equal(60_000)
    tables.retryNow()
    expect(kinds(tables.take(Millis.of(101), all))).to.deep.equal(['add fdb'])
  })
})
