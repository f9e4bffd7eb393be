import { Cidr } from '../core/net/cidr.ts'
import { Ip } from '../core/net/ip.ts'
import { Mac } from '../core/net/mac.ts'
import type { EnsuredLink, VxlanSpec } from '../core/kernel/link.ts'
import { describeFight, describeOpponent } from '../core/kernel/fights.ts'
import { rowKey } from '../core/kernel/rows.ts'
import type { Tables } from '../core/kernel/tables.ts'
import type { Forwarding } from '../core/forwarding.ts'
import { type Leg, legsOf, type Peer } from '../core/overlay/peer.ts'
import { printSubnets } from '../core/overlay/subnet-key.ts'
import type { AgentStatus, Health, PeerCounts, PeerStatus, TableCounts } from '../core/status.ts'
import type { AgentState } from './agent-state.ts'
import type { Announced } from './network.ts'

/** Facts of the process that neither state nor forwarding knows. */
export interface ProcessFacts {
  readonly version: string
  readonly pid: number
  readonly startedAt: string
  readonly resolve: 'eager' | 'on-miss'
  /** A point of the monotonic clock as wall-clock time, ISO 8601. */
  readonly wallTime: (at: number) => string
}

export const describeHealth = (state: AgentState, forwarding: Forwarding): Health => {
  const down: Health['reasons'][number][] = []
  const degraded: Health['reasons'][number][] = []
  if (!state.lease) down.push({ code: 'no-subnet', message: 'no subnet is held yet' })
  else if (state.placed.size < 2)
    down.push({ code: 'no-device', message: 'the VXLAN device is not in place' })
  if (!forwarding.mayPrune) {
    // The peers of the last run do for a while; without any, etcd's word is waited for, unless it is known to be away.
    const known = forwarding.peers.size > 0 || state.troubles.has('etcd')
    const message = 'the peers are those of the last run: etcd has not answered yet'
    ;(known ? degraded : down).push({ code: 'no-snapshot', message })
  }
  if (state.placed.size === 2 && !state.settled)
    down.push({ code: 'rows-pending', message: 'the tables are being written' })
  if (state.lease && !state.handedOver)
    down.push({ code: 'subnet-file-pending', message: 'subnet.env is being written' })
  const failed = trackers(forwarding).reduce((sum, { failures }) => sum + failures.size, 0)
  if (failed > 0)
    degraded.push({
      code: 'rows-failed',
      message: `${String(failed)} rows were refused by the kernel; see tweed peers`,
    })
  const unreached = forwarding.ipv4.unreachable + forwarding.ipv6.unreachable
  if (unreached > 0)
    degraded.push({
      code: 'peers-unreachable',
      message: `${String(unreached)} peers are behind a router, where host-gw has no way; see tweed peers`,
    })
  for (const fight of forwarding.fights.ongoing)
    degraded.push({ code: 'row-fight', message: describeFight(fight, deviceOf(state, fight.row.link)) })
  const mass = [...forwarding.removal.held().values()].filter(({ why }) => why === 'mass').length
  if (mass > 0)
    degraded.push({
      code: 'peers-held',
      message: `${String(mass)} peers vanished from etcd together; their rows are held, see tweed peers`,
    })
  for (const fault of state.troubles.values()) degraded.push({ code: fault.code, message: fault.message })
  const reasons = [...down, ...degraded]
  return { state: down.length > 0 ? 'down' : degraded.length > 0 ? 'degraded' : 'ready', reasons }
}

export const describeAgent = (
  state: AgentState,
  forwarding: Forwarding,
  facts: ProcessFacts,
): AgentStatus => ({
  version: facts.version,
  pid: facts.pid,
  node: state.me?.node ?? '',
  startedAt: facts.startedAt,
  resolve: facts.resolve,
  health: describeHealth(state, forwarding),
  underlay: state.underlay
    ? {
        interface: state.underlay.name,
        address: printPublicIps(state.me),
        mtuBytes: state.underlay.mtuBytes,
      }
    : null,
  device: describeDevice(state.devices.get(4)),
  device6: describeDevice(state.devices.get(6)),
  filter: describeFilter(state.filter),
  announced: describeAnnounced(state.network?.announced),
  lease: state.lease
    ? {
        state: state.lease.state,
        subnet: printSubnets(state.lease.lease),
        key: state.lease.lease.key,
        leaseId: state.lease.lease.leaseId,
        remainingSeconds: state.lease.remainingSeconds ?? null,
      }
    : null,
  etcd: { ...state.etcd, missedEvents: forwarding.missedEvents },
  peers: countPeers(forwarding, facts),
  tables: {
    fdb: countRows(forwarding.planes.map(({ tables }) => tables.fdb)),
    neighbours: countRows(forwarding.planes.map(({ tables }) => tables.neighbours)),
    routes: countRows(forwarding.planes.map(({ tables }) => tables.routes)),
  },
  misses: { ...forwarding.misses },
  driftRepairs: state.driftRepairs,
  rowFights: forwarding.fights.ongoing.length,
  checksumErrors: state.checksumErrors,
  faults: state.faults.map(({ at, fault }) => ({
    at: facts.wallTime(at),
    code: fault.code,
    message: fault.message,
  })),
})

const describeAnnounced = (announced: Announced | undefined): AgentStatus['announced'] =>
  announced ? { fields: announced.fields, config: announced.stored.value } : null

const describeFilter = (filter: AgentState['filter']): AgentStatus['filter'] =>
  filter
    ? {
        masquerade: filter.masquerade,
        fullyRandom: filter.fullyRandom,
        forwardRules: filter.acceptForwarded,
      }
    : null

export const describePeers = (forwarding: Forwarding, facts: ProcessFacts): readonly PeerStatus[] => {
  const admitted = [...forwarding.peers.values()].map((peer): PeerStatus => ({
    subnet: list(peer, ({ subnet }) => Cidr.print(subnet)),
    publicIp: list(peer, ({ publicIp }) => Ip.print(publicIp)),
    path: printPaths(legsOf(peer).map(({ subnet }) => forwarding.plane(subnet.family).pathTo(peer) ?? '')),
    vtepMac: list(peer, ({ vtepMac }) => (vtepMac === undefined ? '' : Mac.print(vtepMac))),
    node: peer.node ?? null,
    since: facts.wallTime(forwarding.since(peer)),
    ...peerState(peer, forwarding, facts),
  }))
  const rejected = [...forwarding.directory.rejections().values()].map((rejection): PeerStatus => ({
    subnet: rejection.key,
    publicIp: '',
    path: '',
    vtepMac: '',
    node: null,
    since: '',
    state: 'rejected',
    detail: `${rejection.code}: ${rejection.rule}`,
  }))
  return [...admitted.sort((a, b) => (a.subnet < b.subnet ? -1 : 1)), ...rejected]
}

function peerState(
  peer: Peer,
  forwarding: Forwarding,
  facts: ProcessFacts,
): Pick<PeerStatus, 'state' | 'detail'> {
  const held = forwarding.removal.held().get(peer.key)
  if (held) return { state: 'held', detail: `${held.why}; its rows stay until ${facts.wallTime(held.until)}` }
  const rows = forwarding.planes.flatMap((plane) =>
    plane.rowsOf(peer).map((row) => ({ row, key: rowKey(row), table: plane.tables.of(row) })),
  )
  if (forwarding.planes.some((plane) => plane.unreachable > 0 && plane.pathTo(peer) === 'none'))
    return { state: 'failed', detail: 'it is behind a router: host-gw needs it on a link of this host' }
  const failure = rows.map(({ key, table }) => table.failures.get(key)).find((each) => each !== undefined)
  if (failure) return { state: 'failed', detail: `${failure.fault.code}: ${failure.fault.message}` }
  if (!forwarding.hasRows(peer))
    return { state: 'idle', detail: 'not in use; the first packet makes its rows' }
  const standing = rows.every(({ key, table }) => table.actual.has(key))
  const fight = rows.map(({ row }) => forwarding.fights.of(row)).find((each) => each !== undefined)
  const fought =
    fight && `row-fight: changed ${String(fight.repairs)} times, last by ${describeOpponent(fight)}`
  return rows.length > 0 && standing
    ? { state: 'programmed', detail: fought ?? '' }
    : { state: 'pending', detail: fought ?? 'its rows are being written' }
}

/** Each peer in one state, so that they add up. */
function countPeers(forwarding: Forwarding, facts: ProcessFacts): PeerCounts {
  const counts = { programmed: 0, idle: 0, pending: 0, held: 0, failed: 0 }
  for (const peer of forwarding.peers.values()) {
    const { state } = peerState(peer, forwarding, facts)
    if (state !== 'rejected') counts[state]++
  }
  return { total: forwarding.peers.size, ...counts, rejected: forwarding.directory.rejections().size }
}

const countRows = (tables: readonly AnyTracker[]): TableCounts => ({
  desired: sum(tables, ({ desired }) => desired.size),
  actual: sum(tables, ({ actual }) => actual.size),
  pending: sum(tables, ({ pending }) => pending),
  failed: sum(tables, ({ failures }) => failures.size),
})

/** Name of one of our devices. */
export const deviceOf = ({ devices }: AgentState, index: number): string =>
  [...devices.values()].find(({ link }) => link.index === index)?.spec.name ?? `#${String(index)}`

type AnyTracker = ReturnType<Tables['of']>
const trackers = ({ planes }: Forwarding): readonly AnyTracker[] =>
  planes.flatMap(({ tables }) => [tables.fdb, tables.neighbours, tables.routes])
const sum = (tables: readonly AnyTracker[], count: (table: AnyTracker) => number): number =>
  tables.reduce((total, table) => total + count(table), 0)

/** One word for each family that the host has. */
const list = (peer: Peer, word: (leg: Leg) => string): string =>
  legsOf(peer)
    .map(word)
    .filter((each) => each !== '')
    .join(',')

/** One word, unless the families go different ways. */
const printPaths = (paths: readonly string[]): string =>
  (new Set(paths).size === 1 ? paths.slice(0, 1) : paths).join(',')

const printPublicIps = (me: AgentState['me']): string =>
  [me?.ipv4, me?.ipv6].flatMap((vtep) => (vtep ? [Ip.print(vtep.publicIp)] : [])).join(',')

const describeDevice = (
  device: { readonly spec: VxlanSpec; readonly link: EnsuredLink } | undefined,
): AgentStatus['device'] =>
  device
    ? {
        name: device.spec.name,
        index: device.link.index,
        mac: Mac.print(device.link.mac),
        mtuBytes: device.spec.mtuBytes,
        vni: device.spec.vni,
        port: device.spec.port,
      }
    : null
