import type { AgentStatus, PeerStatus, Renumbering, TableCounts } from '../core/status.ts'
import { printTable } from './table.ts'

/** `tweed status` for people. */
export const printStatus = (status: AgentStatus): string => {
  const { health, filter, lease, underlay, etcd, peers, misses, checksumErrors } = status
  const lines = [
    ['health', health.state],
    ...health.reasons.map(({ code, message }) => ['', `${code}: ${message}`]),
    [
      'agent',
      `tweed ${status.version}, pid ${String(status.pid)}, since ${status.startedAt}, resolves ${status.resolve}`,
    ],
    ['node', status.node || 'not known yet'],
    [
      'underlay',
      underlay ? `${underlay.interface} ${underlay.address} mtu ${String(underlay.mtuBytes)}` : 'none yet',
    ],
    ...printDevices([status.device, status.device6]),
    ...(status.announced ? [['announced', status.announced.config]] : []),
    ['filter', filter ? printFilter(filter) : 'not in place'],
    ['lease', lease ? `${lease.subnet} (${lease.state}${remaining(lease.remainingSeconds)})` : 'none'],
    [
      'etcd',
      `${etcd.connected ? 'connected' : 'not connected'}, revision ${String(etcd.revision)}, ${String(etcd.missedEvents)} events missed`,
    ],
    [
      'peers',
      `${String(peers.total)}: ${String(peers.programmed)} programmed, ${String(peers.idle)} idle, ${String(peers.pending)} pending, ${String(peers.held)} held, ` +
        `${String(peers.failed)} failed; ${String(peers.rejected)} records ignored`,
    ],
    [
      'misses',
      Object.entries(misses)
        .map(([result, count]) => `${result} ${String(count)}`)
        .join(', '),
    ],
    ['drift', `${String(status.driftRepairs)} repairs, ${String(status.rowFights)} fights`],
    ['checksums', `${String(checksumErrors.udp)} wrong in UDP, ${String(checksumErrors.tcp)} in TCP`],
  ]
  const table = printTable(
    ['table', 'desired', 'actual', 'pending', 'failed'],
    [
      counts('fdb', status.tables.fdb),
      counts('neighbours', status.tables.neighbours),
      counts('routes', status.tables.routes),
    ],
  )
  const faults = status.faults.map(({ at, code, message }) => [at, code, message])
  return [
    ...lines.map(([name = '', value = '']) => `${name.padEnd(10)}${value}`),
    '',
    table,
    ...(faults.length > 0 ? ['', printTable(['fault at', 'code', 'message'], faults)] : []),
  ].join('\n')
}

/** `tweed renumber` for people. */
export const printRenumbering = ({ renumbered, fields, from, to }: Renumbering): string => {
  if (!renumbered) return 'nothing to renumber'
  const what = fields.length > 0 ? ` (${fields.join(', ')} changed)` : ''
  return from === to
    ? `adopted the new network${what}; the subnet is ${to ?? 'none'} as before`
    : `renumbered from ${from ?? 'none'} to ${to ?? 'none'}${what}`
}

/** `tweed peers` for people. */
export const printPeers = (peers: readonly PeerStatus[]): string =>
  printTable(
    ['subnet', 'public ip', 'path', 'vtep mac', 'since', 'state', 'detail'],
    peers.map((p) => [p.subnet, p.publicIp, p.path, p.vtepMac, p.since, p.state, p.detail]),
  )

/** A line for each family. */
const printDevices = (devices: readonly AgentStatus['device'][]): readonly (readonly string[])[] => {
  const lines = devices.flatMap((device) =>
    device
      ? [
          `${device.name} ${device.mac} mtu ${String(device.mtuBytes)} vni ${String(device.vni)} port ${String(device.port)}`,
        ]
      : [],
  )
  return lines.length === 0 ? [['device', 'none']] : lines.map((line) => ['device', line])
}

const printFilter = ({ masquerade, forwardRules }: NonNullable<AgentStatus['filter']>): string =>
  `masquerading ${masquerade ? 'on' : 'off'}, forward rules ${forwardRules ? 'on' : 'off'}`

const remaining = (seconds: number | null): string => (seconds === null ? '' : `, ${String(seconds)} s left`)

const counts = (name: string, c: TableCounts): string[] =>
  [name, c.desired, c.actual, c.pending, c.failed].map(String)
