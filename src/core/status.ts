import type { ChecksumErrors } from './checksums.ts'
import type { FaultCode } from './fault.ts'
import type { MissCounts } from './overlay/miss.ts'

/** What `tweed status --json` prints. Times are ISO 8601, durations carry their unit in the name. */
export interface AgentStatus {
  readonly version: string
  readonly pid: number
  readonly node: string
  readonly startedAt: string
  readonly resolve: 'eager' | 'on-miss'
  readonly health: Health
  readonly underlay: {
    readonly interface: string
    /** The public address; in dual stack both, with a comma between. */
    readonly address: string
    readonly mtuBytes: number
  } | null
  readonly device: {
    readonly name: string
    readonly index: number
    readonly mac: string
    readonly mtuBytes: number
    readonly vni: number
    readonly port: number
  } | null
  /** The device of the IPv6 overlay. */
  readonly device6: AgentStatus['device']
  /** What the packet filter is kept as; null while it isn't. */
  readonly filter: {
    readonly masquerade: boolean
    readonly fullyRandom: boolean
    readonly forwardRules: boolean
  } | null
  /** A network that waits for `tweed renumber`; null where none does. */
  readonly announced: {
    /** What changed. */
    readonly fields: readonly string[]
    /** As it stands in etcd. */
    readonly config: string
  } | null
  readonly lease: {
    readonly state: 'owned' | 'unsure' | 'lost' | 'conflict'
    readonly subnet: string
    readonly key: string
    readonly leaseId: string
    /** Seconds until etcd would let it expire, as of the last keep-alive; null for a reservation or before the first. */
    readonly remainingSeconds: number | null
  } | null
  /** `missedEvents`: what audits found and the watch had not told; should stay 0. */
  readonly etcd: { readonly connected: boolean; readonly revision: number; readonly missedEvents: number }
  readonly peers: PeerCounts
  readonly tables: {
    readonly fdb: TableCounts
    readonly neighbours: TableCounts
    readonly routes: TableCounts
  }
  readonly misses: MissCounts
  /** Rows that somebody else changed and we repaired. */
  readonly driftRepairs: number
  /** Rows that another program changes again and again. */
  readonly rowFights: number
  /** Packets of any kind that this host dropped for a wrong checksum since the agent started. */
  readonly checksumErrors: ChecksumErrors
  /** The newest last. */
  readonly faults: readonly FaultReport[]
}

/** What `tweed renumber --json` prints. */
export interface Renumbering {
  /** False where nothing was announced. */
  readonly renumbered: boolean
  readonly fields: readonly string[]
  /** Subnets of this host; null where it has none. */
  readonly from: string | null
  readonly to: string | null
}

/** `down`: containers of this host can't rely on the overlay. `degraded`: it works, and somebody should look. */
export interface Health {
  readonly state: 'ready' | 'degraded' | 'down'
  readonly reasons: readonly { readonly code: FaultCode | ReasonCode; readonly message: string }[]
}

export type ReasonCode =
  | 'no-subnet'
  | 'no-device'
  | 'no-snapshot'
  | 'rows-pending'
  | 'subnet-file-pending'
  | 'rows-failed'
  | 'peers-unreachable'

export interface PeerCounts {
  readonly total: number
  readonly programmed: number
  readonly idle: number
  readonly pending: number
  readonly held: number
  readonly failed: number
  /** Records that the validator ignores. */
  readonly rejected: number
}

export interface TableCounts {
  readonly desired: number
  readonly actual: number
  readonly pending: number
  readonly failed: number
}

export interface FaultReport {
  readonly at: string
  readonly code: FaultCode
  readonly message: string
}

/** One line of `tweed peers`. Of a host with two families, most fields hold two words with a comma between. */
export interface PeerStatus {
  readonly subnet: string
  readonly publicIp: string
  /** `tunnel`, `direct` for a host on a link of ours that needs none, `none` where it would need one (host-gw). */
  readonly path: string
  readonly vtepMac: string
  readonly node: string | null
  /** When this agent first saw the peer as it is now. */
  readonly since: string
  /** `idle`: known and, in `on-miss`, not in use, so without rows. */
  readonly state: 'programmed' | 'idle' | 'pending' | 'failed' | 'held' | 'rejected'
  /** Why it is not programmed, or until when it is held. */
  readonly detail: string
}
