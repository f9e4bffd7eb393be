import { Cidr } from '../core/net/cidr.ts'
import { Ipv4 } from '../core/net/ipv4.ts'
import { Mac } from '../core/net/mac.ts'
import { routeKey } from '../core/kernel/rows.ts'
import type { Tracker } from '../core/kernel/tracker.ts'
import type { Forwarding } from '../core/forwarding.ts'
import type { Row } from '../core/kernel/rows.ts'
import type { Peer } from '../core/overlay/peer.ts'
import type { AgentStatus, Health, PeerCounts, PeerStatus, TableCounts } from '../core/status.ts'
import type { AgentState } from './agent-state.ts'

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
  else if (!state.device) down.push({ code: 'no-device', message: 'the VXLAN device is not in place' })
  if (!forwarding.mayPrune) {
    // The peers of the last run do for a while; without any, etcd's word is waited for, unless it is known to be away.
    const known = forwarding.peers.size > 0 || state.troubles.has('etcd')
    const message = 'the peers are those of the last run: etcd has not answered yet'
    ;(known ? degraded : down).push({ code: 'no-snapshot', message })
  }
  if (state.device && !state.settled)
    down.push({ code: 'rows-pending', message: 'the tables are being written' })
  const { fdb, neighbours, routes } = forwarding.tables
  const failed = fdb.failures.size + neighbours.failures.size + routes.failures.size
  if (failed > 0)
    degraded.push({
      code: 'rows-failed',
      message: `${String(failed)} rows were refused by the kernel; see tweed peers`,
    })
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
        address: Ipv4.print(state.underlay.address),
        mtuBytes: state.underlay.mtuBytes,
      }
    : null,
  device: state.device
    ? {
        name: state.device.spec.name,
        index: state.device.link.index,
        mac: Mac.print(state.device.link.mac),
        mtuBytes: state.device.spec.mtuBytes,
        vni: state.device.spec.vni,
        port: state.device.spec.port,
      }
    : null,
  lease: state.lease
    ? {
        state: state.lease.state,
        subnet: Cidr.print(state.lease.lease.subnet),
        key: state.lease.lease.key,
        leaseId: state.lease.lease.leaseId,
        remainingSeconds: state.lease.remainingSeconds ?? null,
      }
    : null,
  etcd: { ...state.etcd, missedEvents: forwarding.missedEvents },
  peers: countPeers(forwarding, facts),
  tables: {
    fdb: countRows(forwarding.tables.fdb),
    neighbours: countRows(forwarding.tables.neighbours),
    routes: countRows(forwarding.tables.routes),
  },
  misses: { ...forwarding.misses },
  driftRepairs: state.driftRepairs,
  faults: state.faults.map(({ at, fault }) => ({
    at: facts.wallTime(at),
    code: fault.code,
    message: fault.message,
  })),
})

export const describePeers = (forwarding: Forwarding, facts: ProcessFacts): readonly PeerStatus[] => {
  const admitted = [...forwarding.peers.values()].map((peer): PeerStatus => ({
    subnet: Cidr.print(peer.subnet),
    publicIp: Ipv4.print(peer.publicIp),
    vtepMac: Mac.print(peer.vtepMac),
    node: peer.node ?? null,
    since: facts.wallTime(forwarding.since(peer)),
    ...peerState(peer, forwarding, facts),
  }))
  const rejected = [...forwarding.directory.rejections().values()].map((rejection): PeerStatus => ({
    subnet: rejection.key,
    publicIp: '',
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
  const { fdb, neighbours, routes } = forwarding.tables
  const held = forwarding.removal.held().get(peer.key)
  if (held) return { state: 'held', detail: `${held.why}; its rows stay until ${facts.wallTime(held.until)}` }
  const failure =
    fdb.failures.get(peer.vtepMac) ??
    neighbours.failures.get(peer.subnet.address) ??
    routes.failures.get(routeKey(peer.subnet))
  if (failure) return { state: 'failed', detail: `${failure.fault.code}: ${failure.fault.message}` }
  if (!forwarding.hasRows(peer))
    return { state: 'idle', detail: 'not in use; the first packet makes its rows' }
  const standing =
    fdb.actual.has(peer.vtepMac) &&
    neighbours.actual.has(peer.subnet.address) &&
    routes.actual.has(routeKey(peer.subnet))
  return standing
    ? { state: 'programmed', detail: '' }
    : { state: 'pending', detail: 'its rows are being written' }
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

const countRows = (table: Tracker<Row> | Tracker<never>): TableCounts => ({
  desired: table.desired.size,
  actual: table.actual.size,
  pending: table.pending,
  failed: table.failures.size,
})
