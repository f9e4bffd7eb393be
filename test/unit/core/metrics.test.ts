import { readFileSync } from 'node:fs'
import { expect } from 'chai'
import { metrics, printMetrics } from '../../../src/core/metrics.ts'
import type { AgentStatus } from '../../../src/core/status.ts'
import { noMisses } from '../../../src/core/overlay/miss.ts'

const rows = { desired: 2, actual: 1, pending: 1, failed: 0 }
const status: AgentStatus = {
  version: '0.1.0',
  pid: 7,
  node: 'n1',
  startedAt: '2026-01-01T00:00:00.000Z',
  resolve: 'on-miss',
  health: { state: 'degraded', reasons: [] },
  underlay: null,
  device: null,
  device6: null,
  announced: null,
  filter: null,
  lease: { state: 'owned', subnet: '10.5.1.0/24', key: '10.5.1.0-24', leaseId: '1', remainingSeconds: 60 },
  etcd: { connected: true, revision: 42, missedEvents: 0 },
  peers: { total: 3, programmed: 1, idle: 1, pending: 0, held: 1, failed: 0, rejected: 2 },
  tables: { fdb: rows, neighbours: rows, routes: rows },
  misses: { ...noMisses(), promoted: 5 },
  driftRepairs: 4,
  rowFights: 1,
  checksumErrors: { udp: 9, tcp: 8 },
  faults: [],
}
const lines = printMetrics(status).split('\n')

describe('printMetrics', () => {
  it('says what holds, in labels and numbers', () => {
    expect(lines).to.include.members([
      'tweed_info{version="0.1.0",node="n1",resolve="on-miss"} 1',
      'tweed_health{state="degraded"} 1',
      'tweed_health{state="ready"} 0',
      'tweed_lease{state="owned"} 1',
      'tweed_lease_remaining_seconds 60',
      'tweed_etcd_revision 42',
      'tweed_peers{state="held"} 1',
      'tweed_records_rejected 2',
      'tweed_rows{table="routes",rows="pending"} 1',
      'tweed_misses_total{result="promoted"} 5',
      'tweed_drift_repairs_total 4',
    ])
  })

  it('has help and type in front of every family, and nothing but samples besides', () => {
    for (const { name, kind } of metrics) {
      const help = lines.findIndex((line) => line.startsWith(`# HELP ${name} `))
      expect(lines[help + 1]).to.equal(`# TYPE ${name} ${kind}`)
    }
    for (const line of lines)
      expect(line).to.match(/^(# (HELP|TYPE) \w+ .+|\w+(\{\w+="[^"]*"(,\w+="[^"]*")*\})? \d+)$/)
  })

  it('leaves out what is unknown', () => {
    const printed = printMetrics({ ...status, lease: null })
    expect(printed).not.to.match(/^tweed_lease_remaining_seconds /m)
    expect(printed).to.include('tweed_lease{state="owned"} 0')
  })

  it('is explained in docs/status.md', () => {
    const page = readFileSync(new URL('../../../docs/status.md', import.meta.url), 'utf8')
    for (const { name } of metrics) expect(page).to.include(`\`${name}\``)
  })
})
