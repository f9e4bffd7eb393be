import {
  concatMap,
  defer,
  EMPTY,
  filter,
  merge,
  type Observable,
  of,
  scan,
  share,
  take,
  takeUntil,
  timer,
} from 'rxjs'
import { Fault } from '../core/fault.ts'
import { judgeConfigChange } from '../core/overlay/config-change.ts'
import { type NetworkConfig, parseNetworkConfig } from '../core/overlay/network-config.ts'
import type { SubnetKey } from '../core/overlay/record.ts'
import { printComplaint } from '../core/parsed.ts'
import type { LeaseStore, StoredConfig, StoreEvent } from '../ports/lease-store.ts'

/** The network in force, and what etcd says that is not in force. */
export interface Network {
  readonly config: NetworkConfig
  readonly stored: StoredConfig
  /** What etcd holds is in force, so that an allocation may be guarded by its revision. */
  readonly current: boolean
  /** Why what etcd holds now is not in force. */
  readonly fault: Fault | undefined
}

/** Either a network in force, or the reason that there is none yet. */
export type NetworkState =
  { readonly kind: 'network'; readonly network: Network } | { readonly kind: 'none'; readonly fault: Fault }

/** etcd is given so long at start before the configuration of the last run is taken. */
const patienceMs = 3000

/**
 * `<prefix>/config`, followed: a change is adopted where it is safe for running containers, refused aloud where it
 * isn't, and garbage leaves the old one in force.
 */
export const network$ = (options: {
  readonly store: Pick<LeaseStore, 'config$'>
  readonly saved: StoredConfig | undefined
  readonly lease: () => SubnetKey | undefined
}): Observable<NetworkState> => {
  const config$ = options.store.config$.pipe(share())
  const fromLastRun$ = defer(() => (options.saved ? of(value(options.saved)) : EMPTY))
  // Patience ends when etcd is known to be away; its own word comes first if it comes at all.
  const impatient$ = merge(timer(patienceMs), config$.pipe(filter(({ kind }) => kind === 'disconnected')))
  const instead$ = impatient$.pipe(
    take(1),
    concatMap(() => fromLastRun$),
    takeUntil(config$.pipe(filter(({ kind }) => kind === 'value'))),
  )
  return merge(config$, instead$).pipe(
    concatMap((event) => (event.kind === 'value' || isDenied(event) ? of(event) : EMPTY)),
    scan(
      (state: NetworkState, event) =>
        event.kind === 'value'
          ? orLastRun(adopt(state, event.value, options.lease()), options.saved)
          : unread(state, event.fault),
      nothingYet,
    ),
  )
}

const value = (stored: StoredConfig): StoreEvent<StoredConfig | undefined> => ({
  kind: 'value',
  value: stored,
  revision: stored.modRevision,
})

/** The state before etcd has told of a configuration. */
export const nothingYet: NetworkState = { kind: 'none', fault: Fault.of('config-missing') }

type ConfigEvent = StoreEvent<StoredConfig | undefined>

/** That there is no configuration would be the wrong thing to say where it may not be read. */
const isDenied = (event: ConfigEvent): event is ConfigEvent & { readonly kind: 'disconnected' } =>
  event.kind === 'disconnected' && event.fault.code === 'etcd-denied'

const unread = (state: NetworkState, fault: Fault): NetworkState =>
  state.kind === 'none' ? { kind: 'none', fault } : state

/** Garbage and a missing key don't take a network from a host that had one, restart or not. */
const orLastRun = (state: NetworkState, saved: StoredConfig | undefined): NetworkState => {
  if (state.kind === 'network' || !saved) return state
  const before = adopt(nothingYet, saved, undefined)
  return before.kind === 'network' ? keep(before, state.fault) : state
}

/** The reducer: state × what etcd holds → state. */
export const adopt = (
  state: NetworkState,
  stored: StoredConfig | undefined,
  lease: SubnetKey | undefined,
): NetworkState => {
  if (!stored) return keep(state, Fault.of('config-missing'))
  const parsed = parseNetworkConfig(stored.value)
  if (parsed.kind === 'invalid') return keep(state, Fault.of('config-invalid', printComplaint(parsed)))
  const network: Network = { config: parsed.value, stored, current: true, fault: undefined }
  if (state.kind === 'none') return { kind: 'network', network }
  const change = judgeConfigChange(state.network.config, parsed.value, lease)
  switch (change.kind) {
    case 'same':
    case 'adopt':
      return { kind: 'network', network }
    case 'refuse': {
      const fields = change.fields.join(', ')
      return keep(
        state,
        Fault.of('config-refused', `${fields} changed; restart the agent to adopt the new network`),
      )
    }
  }
}

const keep = (state: NetworkState, fault: Fault): NetworkState =>
  state.kind === 'none'
    ? { kind: 'none', fault }
    : { kind: 'network', network: { ...state.network, current: false, fault } }
