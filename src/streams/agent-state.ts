import { ChecksumErrors } from '../core/checksums.ts'
import { Fault } from '../core/fault.ts'
import type { EnsuredLink, VxlanSpec } from '../core/kernel/link.ts'
import type { Family } from '../core/net/ip.ts'
import type { OwnIdentity, OwnLease } from '../core/overlay/own.ts'
import type { Underlay } from '../core/overlay/underlay.ts'
import type { Millis } from '../core/time.ts'
import type { ChecksumState } from './checksums.ts'
import type { DeviceState } from './device.ts'
import type { FilterSpec } from '../core/filter/masquerade.ts'
import type { FilterState } from './packet-filter.ts'
import type { LeaseState } from './lease.ts'
import type { Network, NetworkState } from './network.ts'
import type { Outcome } from './reconcile.ts'
import type { Standing, Upkeep } from './remember.ts'

/** Everything that happens in an agent, for state, log and status. */
export type AgentEvent =
  | {
      readonly kind: 'self'
      readonly me: OwnIdentity
      readonly underlay: Underlay
      readonly fault: Fault | undefined
    }
  /** No usable underlay: who we were stays in force. */
  | { readonly kind: 'no underlay'; readonly fault: Fault }
  | { readonly kind: 'network'; readonly state: NetworkState }
  | { readonly kind: 'lease'; readonly state: LeaseState }
  | { readonly kind: 'standing'; readonly standing: Standing }
  | { readonly kind: 'device'; readonly state: DeviceState }
  | {
      readonly kind: 'etcd'
      readonly connected: boolean
      readonly revision: number
      readonly fault: Fault | undefined
    }
  | { readonly kind: 'filter'; readonly state: FilterState }
  | { readonly kind: 'outcome'; readonly outcome: Outcome }
  | ({ readonly kind: 'checksums' } & ChecksumState)
  /** Of what goes on beside all that; without a fault it is well (again). */
  | { readonly kind: 'fault'; readonly of: Upkeep['of']; readonly fault: Fault | undefined }

/** What is known of the agent now; small, and replaced as a whole with each event. */
export interface AgentState {
  readonly me: OwnIdentity | undefined
  readonly underlay: Underlay | undefined
  readonly network: Network | undefined
  readonly lease:
    | {
        readonly state: 'owned' | 'unsure' | 'lost' | 'conflict'
        readonly lease: OwnLease
        readonly remainingSeconds: number | undefined
      }
    | undefined
  /** Network, identity and subnet that belong together: what the data plane follows. */
  readonly standing: Standing | undefined
  /** Those that are in place. */
  readonly devices: ReadonlyMap<Family, { readonly spec: VxlanSpec; readonly link: EnsuredLink }>
  /** Each family's device is in place, or none is wanted. */
  readonly placed: ReadonlySet<Family>
  /** What the packet filter is kept as. */
  readonly filter: FilterSpec | undefined
  readonly etcd: { readonly connected: boolean; readonly revision: number }
  /** The kernel's tables have been read since the device came. */
  readonly dumped: boolean
  /** And everything that was owed then has been written. */
  readonly settled: boolean
  /** subnet.env has been written, or could not be: whoever waits for us reads it next. */
  readonly handedOver: boolean
  readonly driftRepairs: number
  /** Since the start. */
  readonly checksumErrors: ChecksumErrors
  /** What is wrong now, by the part that it is wrong with. */
  readonly troubles: ReadonlyMap<string, Fault>
  readonly faults: readonly { readonly at: Millis; readonly fault: Fault }[]
}

export const startingAgent: AgentState = {
  me: undefined,
  underlay: undefined,
  network: undefined,
  lease: undefined,
  standing: undefined,
  devices: new Map(),
  placed: new Set(),
  filter: undefined,
  etcd: { connected: false, revision: 0 },
  dumped: false,
  settled: false,
  handedOver: false,
  driftRepairs: 0,
  checksumErrors: ChecksumErrors.none,
  troubles: new Map(),
  faults: [],
}

const mostFaults = 20

export const reduceAgent = (state: AgentState, event: AgentEvent, at: Millis): AgentState => {
  if (event.kind === 'outcome' && event.outcome.kind === 'missed') return state // the hot path
  const fault = faultOf(event)
  const next = { ...state, ...changeOf(state, event), troubles: withTrouble(state.troubles, event, fault) }
  const told =
    fault &&
    !state.faults.some((earlier) => at - earlier.at < 60_000 && earlier.fault.message === fault.message)
  return told ? { ...next, faults: [...state.faults, { at, fault }].slice(-mostFaults) } : next
}

/** The fault that an event carries. */
export const faultOf = (event: AgentEvent): Fault | undefined => {
  switch (event.kind) {
    case 'network':
      return event.state.kind === 'none' ? event.state.fault : event.state.network.fault
    case 'lease':
      if (event.state.kind === 'lost') return Fault.of('lease-lost')
      return event.state.kind === 'owned' ? event.state.lease.instead : event.state.fault
    case 'device':
      if (event.state.kind === 'ready') return event.state.link.fault
      return event.state.kind === 'failed' ? event.state.fault : undefined
    case 'outcome':
      if (event.outcome.kind === 'wrote') return event.outcome.refusals[0]?.fault
      if (event.outcome.kind === 'drifted') return event.outcome.fault
      return event.outcome.kind === 'failed' ? event.outcome.fault : undefined
    case 'filter':
      return event.state.fault
    case 'standing':
      return undefined
    case 'self':
    case 'no underlay':
    case 'etcd':
    case 'checksums':
    case 'fault':
      return event.fault
  }
}

function changeOf(state: AgentState, event: AgentEvent): Partial<AgentState> {
  switch (event.kind) {
    case 'self':
      return { me: event.me, underlay: event.underlay }
    case 'network':
      return event.state.kind === 'network' ? { network: event.state.network } : {}
    case 'lease':
      return leasePart(event.state)
    case 'standing':
      return { standing: event.standing }
    case 'device':
      return devicePart(state, event.state)
    case 'filter':
      return { filter: event.state.kind === 'kept' ? event.state.spec : undefined }
    case 'etcd':
      return { etcd: { connected: event.connected, revision: Math.max(event.revision, state.etcd.revision) } }
    case 'outcome':
      if (event.outcome.kind === 'dumped')
        return state.dumped || !event.outcome.complete ? {} : { dumped: true }
      if (event.outcome.kind === 'settled')
        return state.settled === state.dumped ? {} : { settled: state.dumped }
      return event.outcome.kind === 'drifted' ? { driftRepairs: state.driftRepairs + 1 } : {}
    case 'checksums':
      return { checksumErrors: event.errors }
    case 'fault':
      return event.of === 'subnet.env' ? { handedOver: true } : {}
    case 'no underlay':
      return {}
  }
}

/** What a fault is the trouble of: each has its own. */
export const partOf = (event: AgentEvent): string => {
  if (event.kind === 'device') return `device of IPv${String(event.state.family)}`
  if (event.kind === 'self' || event.kind === 'no underlay') return 'underlay'
  return event.kind === 'fault' ? event.of : event.kind
}

/** Another device has empty tables until they have been read and written. */
function devicePart(state: AgentState, device: DeviceState): Partial<AgentState> {
  const { family } = device
  const devices = new Map(state.devices)
  const placed = new Set(state.placed)
  if (device.kind === 'ready') devices.set(family, device)
  else devices.delete(family)
  if (device.kind === 'failed') placed.delete(family)
  else placed.add(family)
  const same =
    state.placed.has(family) &&
    placed.has(family) &&
    state.devices.get(family)?.link.index === devices.get(family)?.link.index
  return same ? { devices, placed } : { devices, placed, dumped: false, settled: false }
}

function leasePart(state: LeaseState): Partial<AgentState> {
  switch (state.kind) {
    case 'acquiring':
      return {}
    case 'owned':
      return { lease: { state: 'owned', lease: state.lease, remainingSeconds: state.remainingSeconds } }
    case 'unsure':
    case 'lost':
    case 'conflict':
      return { lease: { state: state.kind, lease: state.lease, remainingSeconds: undefined } }
  }
}

function withTrouble(
  troubles: AgentState['troubles'],
  event: AgentEvent,
  fault: Fault | undefined,
): AgentState['troubles'] {
  const part = partOf(event)
  if (event.kind === 'outcome' || troubles.get(part) === fault) return troubles // rows tell their own failures
  const next = new Map(troubles)
  if (fault) next.set(part, fault)
  else next.delete(part)
  return next
}
