import { expect } from 'chai'
import { firstValueFrom } from 'rxjs'
import type { Op, Route, Row } from '../../../src/core/kernel/rows.ts'
import { rowId } from '../../../src/core/kernel/rows.ts'
import { Cidr } from '../../../src/core/net/cidr.ts'
import { Ip } from '../../../src/core/net/ip.ts'
import { Mac } from '../../../src/core/net/mac.ts'
import { output, run } from '../../support/process.ts'
import { Namespace, add, cidr, hostRows, ids, ip, mac, remove, sh, some } from './namespace.ts'

let namespace: Namespace
let link: number
const open = async (): Promise<void> => {
  namespace = await Namespace.open()
  link = (await namespace.ensure()).index
}
const close = (): Promise<void> => namespace.close()

const faults = async (...ops: readonly Op[]) =>
  (await namespace.apply(...ops)).map(({ op, fault }) => [op, fault.code, fault.message] as const)

describe('apply$ and dump$', () => {
  beforeEach(open)
  afterEach(close)

  it('write ten thousand rows of each table and read them back, and take them away', async () => {
    const hosts = Array.from({ length: 10_000 }, (_, n) => hostRows(link, n))
    const rows: readonly Row[] = [
      ...hosts.map((host) => host.fdb),
      ...hosts.map((host) => host.neighbour),
      ...hosts.map((host) => host.route),
    ]
    expect(await namespace.apply(...rows.map(add))).to.deep.equal([])
    const dump = await namespace.dump(link)
    expect(dump.rows).to.have.lengthOf(rows.length)
    const byId = new Map(dump.rows.map((row) => [rowId(row), row]))
    for (const row of rows) expect(byId.get(rowId(row)), rowId(row)).to.deep.equal(row)
    expect(await namespace.apply(...rows.toReversed().map(remove))).to.deep.equal([])
    expect((await namespace.dump(link)).rows).to.deep.equal([])
  })

  it('write both families', async () => {
    const rows: readonly Row[] = [
      { kind: 'fdb', link, mac: mac('02:00:00:00:00:02'), vtep: ip('192.0.2.2') },
      { kind: 'neighbour', link, ip: ip('2001:db8:5:2::'), mac: mac('02:00:00:00:00:02'), state: 'noarp' },
      { kind: 'route', link, dst: cidr('2001:db8:5:2::/64'), via: ip('2001:db8:5:2::') },
      { kind: 'route', link, dst: cidr('2001:db8:6::/48'), via: undefined },
      { kind: 'route', link, dst: cidr('10.7.0.0/16'), via: undefined },
    ]
    expect(await namespace.apply(...rows.map(add))).to.deep.equal([])
    const { rows: there } = await namespace.dump(link)
    expect(ids(there)).to.deep.equal(ids(rows))
    expect(there).to.deep.include.members([...rows])
    expect(await namespace.apply(...rows.map(remove))).to.deep.equal([])
    expect((await namespace.dump(link)).rows).to.deep.equal([])
  })

  it('write as ip and bridge print it', async () => {
    await namespace.apply(...Object.values(hostRows(link, 1)).map(add))
    expect((await sh('bridge fdb show dev tweed.42')).trim()).to.equal(
      '02:00:00:01:00:01 dst 192.0.2.2 self permanent',
    )
    expect((await sh('ip -4 neigh show dev tweed.42')).trim()).to.equal(
      '10.6.1.0 lladdr 02:00:00:01:00:01 PERMANENT',
    )
    expect((await sh('ip route show proto 84')).trim()).to.equal(
      '10.6.1.0/24 via 10.6.1.0 dev tweed.42 onlink',
    )
  })

  it('say which of many was refused and why, in the words of the kernel', async () => {
    const good = Array.from({ length: 300 }, (_, n) => hostRows(link, n))
    const group = add({ kind: 'fdb', link, mac: some(Mac.of(0x0100_5e00_0001)), vtep: ip('192.0.2.2') })
    const nowhere = add({ ...hostRows(link, 9).route, dst: cidr('10.9.9.9/24') })
    const ops = [...good.flatMap(({ fdb, neighbour, route }) => [fdb, neighbour, route]).map(add)]
    ops.splice(5, 0, group)
    ops.splice(500, 0, nowhere)
    ops.push({ ...nowhere })
    expect(await faults(...ops)).to.deep.equal([
      [group, 'kernel-refused', `bridge fdb replace 01:00:5e:00:00:01 dev #${link} dst 192.0.2.2 self permanent: ENOTSUP`],
      [nowhere, 'kernel-refused', `ip route add 10.9.9.9/24 via 10.6.9.0 dev #${link} onlink proto 84: Invalid prefix for given prefix length (EINVAL)`],
      [nowhere, 'kernel-refused', `ip route add 10.9.9.9/24 via 10.6.9.0 dev #${link} onlink proto 84: Invalid prefix for given prefix length (EINVAL)`],
    ]) // prettier-ignore
    expect((await namespace.dump(link)).rows).to.have.lengthOf(900)
  })

  it('take a row that is absent for removed, and one that is there for added', async () => {
    const rows = Object.values(hostRows(link, 1)) as readonly Row[]
    const elsewhere = rows.map((row) => ({ ...row, link: 9999 }))
    expect(await faults(...rows.map(remove), ...elsewhere.map(remove))).to.deep.equal([])
    expect(await faults(...rows.map(add), ...rows.map(add))).to.deep.equal([])
    expect(await faults(...elsewhere.map(add))).to.have.lengthOf(3)
  })

  it('never touch a route of somebody else, and report it', async () => {
    const { route } = hostRows(link, 1)
    await sh('ip route add 10.6.1.0/24 via 192.0.2.9 dev nl0')
    expect((await faults(add(route))).map(([, code]) => code)).to.deep.equal(['route-conflict'])
    await faults(remove(route))
    expect((await sh('ip route show 10.6.1.0/24')).trim()).to.equal('10.6.1.0/24 via 192.0.2.9 dev nl0')
  })

  it('tell a stale route of ours from one of somebody else, and replace it on demand', async () => {
    const { route } = hostRows(link, 1)
    const moved = { ...route, via: ip('10.6.2.0') }
    await faults(add(route))
    expect((await faults(add(moved))).map(([, code]) => code)).to.deep.equal(['kernel-refused'])
    expect(await faults({ verb: 'add', row: moved, replace: true })).to.deep.equal([])
    expect((await namespace.dump(link)).rows).to.deep.equal([moved])
  })

  it('put a route through the tunnel in the place of one that needs none, and back', async () => {
    await sh('ip address add 2001:db8::1/64 dev nl0 nodad')
    const dst = cidr('fc00:0:0:9::/64')
    const direct: Route = { kind: 'route', link: namespace.underlay, dst, via: ip('2001:db8::9') }
    const tunnelled: Route = { kind: 'route', link, dst, via: ip('fc00:0:0:9::') }
    const shown = () => sh('ip -6 route show proto 84')
    expect(await faults(add(direct))).to.deep.equal([])
    expect(await faults({ verb: 'add', row: tunnelled, replace: true })).to.deep.equal([])
    expect(await shown()).to.match(
      /^fc00:0:0:9::\/64 via fc00:0:0:9:: dev tweed.42 metric 1024 onlink pref medium\n$/,
    )
    expect(await faults({ verb: 'add', row: direct, replace: true })).to.deep.equal([])
    expect(await shown()).to.match(
      /^fc00:0:0:9::\/64 via 2001:db8::9 dev nl0 metric 1024 onlink pref medium\n$/,
    )
    await sh('ip address del 2001:db8::1/64 dev nl0')
  })

  it('move an FDB entry without leaving the old way', async () => {
    const { fdb } = hostRows(link, 1)
    await faults(add(fdb), add({ ...fdb, vtep: ip('192.0.2.9') }))
    const { rows } = await namespace.dump(link)
    expect(rows).to.deep.equal([{ ...fdb, vtep: ip('192.0.2.9') }])
  })

  it('find one way for one MAC, however hard somebody tries', async () => {
    const { fdb } = hostRows(link, 1)
    await faults(add(fdb))
    await sh('bridge fdb append 02:00:00:01:00:01 dev tweed.42 dst 192.0.2.9 self permanent')
    const { rows } = await namespace.dump(link)
    expect(rows).to.deep.equal([fdb])
  })

  it('pass over what is not ours', async () => {
    await sh('ip neigh add 10.6.1.1 lladdr 02:00:00:00:00:01 nud reachable dev tweed.42')
    await sh('ip neigh add 10.6.1.2 nud none dev tweed.42')
    await sh('ip neigh add proxy 10.6.1.3 dev tweed.42')
    await sh('ip neigh add 192.0.2.77 lladdr 02:00:00:00:00:01 nud permanent dev nl0')
    await sh('bridge fdb add 02:00:00:00:00:01 dev tweed.42 dst 192.0.2.2 dynamic')
    await sh('bridge fdb append 00:00:00:00:00:00 dev tweed.42 dst 192.0.2.2')
    await sh('ip route add 10.6.1.0/24 dev tweed.42')
    await sh('ip route add 10.6.2.0/24 dev tweed.42 proto 84 table 100')
    const dump = await namespace.dump(link)
    expect(dump.rows).to.deep.equal([])
    await sh('ip route flush table 100')
    await sh('ip neigh del 192.0.2.77 dev nl0')
  })

  it('tell how long an FDB entry has not been used', async () => {
    const { fdb, neighbour, route } = hostRows(link, 1)
    const other = hostRows(link, 2).fdb
    await faults(...[fdb, other, neighbour, route].map(add))
    const idle = async (of: Mac) => some((await namespace.dump(link)).idleMsByMac.get(of))
    while ((await idle(other.mac)) < 500) await sh('ip link show dev lo') // the kernel's clock, not ours
    await run(['ping', '-c', '1', '-W', '1', '-i', '0.01', '10.6.1.1'])
    const both = (await namespace.dump(link)).idleMsByMac
    expect(both.get(other.mac)).to.be.greaterThan(some(both.get(fdb.mac)))
  })

  it('keep the order of two calls', async () => {
    const { neighbour } = hostRows(link, 1)
    const ops = Array.from({ length: 400 }, (_, n) =>
      add({ ...neighbour, mac: some(Mac.of(0x0200_0000_0000 + n)) }),
    )
    await Promise.all([namespace.apply(...ops), namespace.apply(remove(neighbour))])
    expect((await namespace.dump(link)).rows).to.deep.equal([])
  })

  it('dump again and again at the same time', async () => {
    await namespace.apply(...Object.values(hostRows(link, 1)).map(add))
    const dumps = await Promise.all([1, 2, 3].map(() => namespace.dump(link)))
    for (const { rows } of dumps) expect(rows).to.have.lengthOf(3)
  })
})

describe('misses$ and events$', () => {
  beforeEach(open)
  afterEach(close)

  it('tells a miss of each family, and a packet that waits is sent by the answer', async () => {
    const { fdb, neighbour, route } = hostRows(link, 1)
    await sh('ip route add 10.6.0.0/16 dev tweed.42')
    const miss = namespace.nextMiss()
    const transmitted = async () =>
      (JSON.parse(await sh('ip -j -s link show tweed.42')) as { stats64: { tx: { packets: number } } }[])[0]
        ?.stats64.tx.packets
    expect(await transmitted()).to.equal(0)
    const ping = run(['ping', '-c', '1', '-W', '1', '10.6.1.0'])
    expect(await miss).to.deep.equal({ link, ip: ip('10.6.1.0'), probe: false })
    namespace.kernel.answer([fdb, neighbour, route].map(add))
    await ping
    expect(await transmitted()).to.equal(1)
    expect((await namespace.dump(link)).rows).to.have.lengthOf(3)

    await sh('ip address add 2001:db8::1/64 dev tweed.42 nodad')
    const miss6 = namespace.nextMiss(({ ip }) => typeof ip === 'bigint')
    const ping6 = run(['ping', '-c', '1', '-W', '1', '2001:db8::2'])
    expect(await miss6).to.deep.equal({ link, ip: ip('2001:db8::2'), probe: false })
    await ping6
  })

  it('tells a re-probe of a live entry as a probe', async () => {
    await sh('ip route add 10.6.0.0/16 dev tweed.42')
    await sh('ip ntable change name arp_cache dev tweed.42 delay_probe 10')
    await sh('ip neigh replace 10.6.1.0 lladdr 02:00:00:00:00:02 nud stale dev tweed.42')
    const probe = namespace.nextMiss(({ probe }) => probe)
    await run(['ping', '-c', '3', '-i', '0.1', '-W', '1', '10.6.1.0'])
    expect(await probe).to.deep.equal({ link, ip: ip('10.6.1.0'), probe: true })
  })

  it('says nothing of our own writes', async () => {
    const rows = Array.from({ length: 300 }, (_, n) => Object.values(hostRows(link, n)) as Row[]).flat()
    const seen = await namespace.during(async () => {
      await namespace.apply(...rows.map(add))
      await namespace.apply(...rows.map(add))
      await namespace.apply(...rows.map(remove))
      await namespace.apply(...rows.map(remove))
    })
    expect(seen.filter(({ kind }) => kind === 'row')).to.deep.equal([])
  })

  it('says nothing of our own writes, whatever stood in their place', async () => {
    const hosts = Array.from({ length: 50 }, (_, n) => hostRows(link, n))
    const moved = hosts.map(({ fdb, neighbour }) => [
      { ...fdb, vtep: ip('192.0.2.9') },
      { ...neighbour, state: 'noarp' as const },
    ])
    const seen = await namespace.during(async () => {
      await namespace.apply(...hosts.flatMap(({ fdb, neighbour }) => [fdb, neighbour]).map(add))
      await namespace.apply(...moved.flat().map(add))
      await namespace.apply(...hosts.flatMap(({ fdb, neighbour }) => [fdb, neighbour]).map(add))
      await namespace.apply(...moved.flat().map(remove))
      await namespace.apply(...hosts.map(({ neighbour }) => add(neighbour)))
      await namespace.apply(...hosts.map(({ neighbour }) => remove(neighbour)))
    })
    expect(seen.filter(({ kind }) => kind === 'row')).to.deep.equal([])
  })

  it('tells of every row that somebody else deletes while we write', async () => {
    const hosts = Array.from({ length: 300 }, (_, n) => hostRows(link, n))
    const others = hosts.slice(200)
    const rowsOf = ({ fdb, neighbour, route }: (typeof hosts)[number]) => [fdb, neighbour, route]
    await namespace.apply(...hosts.flatMap(rowsOf).map(add))
    const deletions = others.flatMap(({ neighbour, route }) => [
      `neigh del ${Ip.print(neighbour.ip)} dev tweed.42\n`,
      `route del ${Cidr.print(route.dst)}\n`,
    ])
    const fdbDeletions = others.map(({ fdb }) => `fdb del ${Mac.print(fdb.mac)} dev tweed.42\n`)
    const seen = await namespace.during(async () => {
      const running = new Set([
        output(['ip', '-batch', '-'], deletions.join('')),
        output(['bridge', '-batch', '-'], fdbDeletions.join('')),
      ])
      const finished = [...running].map((one) => one.then(() => running.delete(one)))
      while (running.size > 0)
        for (const verb of [remove, add])
          await namespace.apply(...hosts.slice(0, 200).flatMap(rowsOf).map(verb))
      await Promise.all(finished)
    })
    const told = seen.flatMap((event) => (event.kind === 'row' ? [`${event.verb} ${rowId(event.row)}`] : []))
    expect([...new Set(told)].sort()).to.deep.equal(others.flatMap(rowsOf).map((row) => `remove ${rowId(row)}`).sort()) // prettier-ignore
  })

  it('tells of a row that somebody replaced or deleted', async () => {
    const { fdb, neighbour, route } = hostRows(link, 1)
    const restore = () =>
      namespace.apply(...[fdb, neighbour].map(add), { verb: 'add', row: route, replace: true })
    const cases: readonly (readonly [string, string, string])[] = [
      ['bridge fdb replace 02:00:00:01:00:01 dev tweed.42 dst 192.0.2.9 self permanent', 'add', rowId(fdb)],
      [
        'bridge fdb replace 02:00:00:01:00:01 dev tweed.42 dst 192.0.2.2 port 1 self permanent',
        'remove',
        rowId(fdb),
      ],
      ['bridge fdb del 02:00:00:01:00:01 dev tweed.42', 'remove', rowId(fdb)],
      [
        'ip neigh replace 10.6.1.0 lladdr 02:00:00:00:00:99 nud permanent dev tweed.42',
        'add',
        rowId(neighbour),
      ],
      [
        'ip neigh replace 10.6.1.0 lladdr 02:00:00:00:00:99 nud reachable dev tweed.42',
        'remove',
        rowId(neighbour),
      ],
      ['ip neigh del 10.6.1.0 dev tweed.42', 'remove', rowId(neighbour)],
      ['ip neigh flush dev tweed.42 nud permanent', 'remove', rowId(neighbour)],
      ['ip route replace 10.6.1.0/24 via 192.0.2.9 dev nl0', 'remove', rowId(route)],
      ['ip route del 10.6.1.0/24', 'remove', rowId(route)],
      ['ip route replace 10.6.1.0/24 via 192.0.2.9 dev nl0 proto 84', 'add', rowId(route)],
    ]
    for (const [command, verb, id] of cases) {
      await restore()
      const seen = await namespace.during(() => sh(command))
      const told = seen.flatMap((event) =>
        event.kind === 'row' ? [`${event.verb} ${rowId(event.row)}`] : [],
      )
      expect(new Set(told), command).to.deep.equal(new Set([`${verb} ${id}`]))
    }
  })

  it('says nothing of routes that leave ours alone', async () => {
    await namespace.apply(add(hostRows(link, 1).route))
    const seen = await namespace.during(async () => {
      await sh('ip route add 10.6.1.0/24 via 192.0.2.9 dev nl0 metric 50')
      await sh('ip route replace 10.6.1.0/24 via 192.0.2.8 dev nl0 metric 50')
      await sh('ip route replace 10.6.1.0/24 via 192.0.2.8 dev nl0 table 100')
      await sh('ip route del 10.6.1.0/24 metric 50')
      await sh('ip route flush table 100')
    })
    expect(seen.filter(({ kind }) => kind === 'row')).to.deep.equal([])
  })

  it('tells that the rows of a device went when it goes down, and that it did', async () => {
    await namespace.apply(...Object.values(hostRows(link, 1)).map(add))
    const seen = await namespace.during(() => sh('ip link set tweed.42 down'))
    const told = seen.map((event) => event.kind + (event.kind === 'row' ? `/${event.row.kind}` : ''))
    expect(told).to.include.members(['link', 'row/neighbour'])
    expect((await namespace.dump(link)).rows).to.deep.equal([hostRows(link, 1).fdb])
  })

  it('passes over a device that leaves its bridge', async () => {
    await sh('ip link add nlb type bridge')
    await sh('ip link set nl1 master nlb')
    const seen = await namespace.during(() => sh('ip link set nl1 nomaster'))
    expect(seen.filter((event) => event.kind === 'link' && event.verb === 'remove')).to.deep.equal([])
    await sh('ip link del nlb')
  })

  it('tells of a refused answer, and of a route conflict in one', async () => {
    await sh('ip route add 10.6.1.0/24 via 192.0.2.9 dev nl0')
    const group = add({ ...hostRows(link, 1).fdb, mac: some(Mac.of(0x0100_5e00_0001)) })
    const occupied = add(hostRows(link, 1).route)
    const both = [group, occupied].map((op) =>
      namespace.next((event) => event.kind === 'refused' && event.refusal.op === op),
    )
    namespace.kernel.answer([group, add(hostRows(link, 1).neighbour), occupied])
    const codes = (await Promise.all(both)).map(
      (event) => event.kind === 'refused' && event.refusal.fault.code,
    )
    expect(codes).to.deep.equal(['kernel-refused', 'route-conflict'])
  })

  it('says that notifications were lost, and goes on', async () => {
    await namespace.close()
    namespace = await Namespace.open({ eventBufferBytes: 4096 })
    link = (await namespace.ensure()).index
    const overrun = namespace.next((event) => event.kind === 'overrun')
    const rows = Array.from({ length: 500 }, (_, n) => hostRows(link, n).fdb)
    namespace.kernel.answer(rows.map(add)) // all in one turn, so that nothing of what is heard back can be read
    await overrun
    await namespace.dump(link) // what was still queued has been read by then
    const told = namespace.next((event) => event.kind === 'row')
    await sh('bridge fdb del 02:00:00:01:00:01 dev tweed.42')
    expect(await told).to.deep.include({ kind: 'row', verb: 'remove' })
  })

  it('ends with close', async () => {
    const other = (await import('../../../src/adapters/netlink/kernel.ts')).openKernel()
    const ended = firstValueFrom(other.events$, { defaultValue: 'ended' })
    other.close()
    expect(await ended).to.equal('ended')
  })
})
