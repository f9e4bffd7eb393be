import type { AgentStatus } from './status.ts'

/** One family of samples, in Prometheus's terms. */
interface Metric {
  readonly name: string
  readonly kind: 'gauge' | 'counter'
  readonly help: string
  readonly samples: (status: AgentStatus) => readonly Sample[]
}
/** Labels and value; without labels there is one sample. */
type Sample = readonly [labels: Readonly<Record<string, string>>, value: number]

const one = (value: number): readonly Sample[] => [[{}, value]]
const each = (label: string, values: Readonly<Record<string, number>>): readonly Sample[] =>
  Object.entries(values).map(([name, value]) => [{ [label]: name }, value])
/** 1 for the state that holds, 0 for the others. */
const states = <S extends string>(all: readonly S[], holds: S | undefined): readonly Sample[] =>
  all.map((state) => [{ state }, Number(state === holds)])

/** Every metric; `docs/status.md` lists them. */
export const metrics: readonly Metric[] = [
  {
    name: 'tweed_info',
    kind: 'gauge',
    help: 'Always 1; who the agent is.',
    samples: ({ version, node, resolve }) => [[{ version, node, resolve }, 1]],
  },
  {
    name: 'tweed_health',
    kind: 'gauge',
    help: '1 for the state of health that holds.',
    samples: ({ health }) => states(['ready', 'degraded', 'down'], health.state),
  },
  {
    name: 'tweed_lease',
    kind: 'gauge',
    help: '1 for the state of the own lease that holds; all 0 without one.',
    samples: ({ lease }) => states(['owned', 'unsure', 'lost', 'conflict'], lease?.state),
  },
  {
    name: 'tweed_lease_remaining_seconds',
    kind: 'gauge',
    help: 'Life of the own lease when etcd was last asked.',
    samples: ({ lease }) => (typeof lease?.remainingSeconds === 'number' ? one(lease.remainingSeconds) : []),
  },
  {
    name: 'tweed_etcd_connected',
    kind: 'gauge',
    help: '1 while the watch of the peers stands.',
    samples: ({ etcd }) => one(Number(etcd.connected)),
  },
  {
    name: 'tweed_etcd_revision',
    kind: 'gauge',
    help: 'The last revision of etcd that was heard of.',
    samples: ({ etcd }) => one(etcd.revision),
  },
  {
    name: 'tweed_etcd_missed_events_total',
    kind: 'counter',
    help: 'Changes that the watch did not tell and an audit found; should stay 0.',
    samples: ({ etcd }) => one(etcd.missedEvents),
  },
  {
    name: 'tweed_peers',
    kind: 'gauge',
    help: 'Peers by state; held ones are gone from etcd and still forwarded to.',
    samples: ({ peers: { programmed, idle, pending, held, failed } }) =>
      each('state', { programmed, idle, pending, held, failed }),
  },
  {
    name: 'tweed_records_rejected',
    kind: 'gauge',
    help: 'Records that the validator ignores.',
    samples: ({ peers }) => one(peers.rejected),
  },
  {
    name: 'tweed_rows',
    kind: 'gauge',
    help: 'Rows of each table: desired, believed actual, owed to the kernel, refused by it.',
    samples: ({ tables }) =>
      Object.entries(tables).flatMap(([table, { desired, actual, pending, failed }]) =>
        each('rows', { desired, actual, pending, failed }).map(([labels, value]): Sample => [
          { table, ...labels },
          value,
        ]),
      ),
  },
  {
    name: 'tweed_misses_total',
    kind: 'counter',
    help: 'Misses by what became of them.',
    samples: ({ misses }) => each('result', misses),
  },
  {
    name: 'tweed_drift_repairs_total',
    kind: 'counter',
    help: 'Rows that somebody else changed and that were repaired.',
    samples: ({ driftRepairs }) => one(driftRepairs),
  },
  {
    name: 'tweed_row_fights',
    kind: 'gauge',
    help: 'Rows that another program changes again and again.',
    samples: ({ rowFights }) => one(rowFights),
  },
  {
    name: 'tweed_checksum_errors_total',
    kind: 'counter',
    help: 'Packets of any kind that this host dropped for a wrong checksum.',
    samples: ({ checksumErrors: { udp, tcp } }) => each('protocol', { udp, tcp }),
  },
]

/** The text format of Prometheus, version 0.0.4. */
export const printMetrics = (status: AgentStatus): string =>
  metrics
    .flatMap(({ name, kind, help, samples }) => [
      `# HELP ${name} ${help}`,
      `# TYPE ${name} ${kind}`,
      ...samples(status).map(([labels, value]) => `${name}${printLabels(labels)} ${String(value)}`),
    ])
    .join('\n')

const printLabels = (labels: Readonly<Record<string, string>>): string => {
  const pairs = Object.entries(labels).map(([name, value]) => `${name}=${JSON.stringify(value)}`)
  return pairs.length === 0 ? '' : `{${pairs.join(',')}}`
}
