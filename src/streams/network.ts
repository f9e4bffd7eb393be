import { concat, concatMap, map, merge, type Observable, of, scan } from 'rxjs'
import { Fault } from '../core/fault.ts'
import { judgeConfigChange, type OnConfigChange } from '../core/overlay/config-change.ts'
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
  /** What etcd holds, if it only waits for the order to renumber. */
  readonly announced: Announced | undefined
}

/** A network that running containers would notice, and in which fields. */
export interface Announced {
  readonly config: NetworkConfig
  readonly stored: StoredConfig
  readonly fields: readonly string[]
}

/** Either a network in force, or the reason that there is none yet. */
export type NetworkState =
  { readonly kind: 'network'; readonly network: Network } | { readonly kind: 'none'; readonly fault: Fault }

/**
 * `<prefix>/config`, followed: a change is adopted where it is safe for running containers, announced where it isn't,
 * and garbage leaves the old one in force. A restart is no order: it goes on with the network of the last run, and
 * asks nobody before it does.
 */
export const network$ = (options: {
  readonly store: Pick<LeaseStore, 'config$'>
  readonly saved: StoredConfig | undefined
  readonly lease: () => SubnetKey | undefined
  readonly onConfigChange: OnConfigChange
  /** Orders to adopt what is announced. */
  readonly renumber$: Observable<unknown>
}): Observable<NetworkState> => {
  const begin = ofLastRun(options.saved)
  const told$ = options.store.config$.pipe(
    concatMap((event) => (event.kind === 'value' || isDenied(event) ? [event] : [])),
  )
  const ordered$ = options.renumber$.pipe(map(() => ({ kind: 'ordered' as const })))
  const later$ = merge(told$, ordered$).pipe(
    scan((state: NetworkState, event) => {
      switch (event.kind) {
        case 'value':
          return adopt(state, event.value, {
            lease: options.lease(),
            onConfigChange: options.onConfigChange,
          })
        case 'disconnected':
          return unread(state, event.fault)
        case 'ordered':
          return adoptAnnounced(state)
      }
    }, begin),
  )
  return begin.kind === 'network' ? concat(of(begin), later$) : later$
}

/** The state before etcd has told of a configuration. */
export const nothingYet: NetworkState = { kind: 'none', fault: Fault.of('config-missing') }

type ConfigEvent = StoreEvent<StoredConfig | undefined>

/** That there is no configuration would be the wrong thing to say where it may not be read. */
const isDenied = (event: ConfigEvent): event is ConfigEvent & { readonly kind: 'disconnected' } =>
  event.kind === 'disconnected' && event.fault.code === 'etcd-denied'

const unread = (state: NetworkState, fault: Fault): NetworkState =>
  state.kind === 'none' ? { kind: 'none', fault } : state

/** What comes is a change of what the last run had, restart or not; garbage and a missing key take nothing away. */
export const ofLastRun = (saved: StoredConfig | undefined): NetworkState => {
  const state = adopt(nothingYet, saved)
  return state.kind === 'network' ? state : nothingYet
}

/** What decides whether a change may be adopted. */
export interface Stake {
  readonly lease: SubnetKey | undefined
  readonly onConfigChange: OnConfigChange
}

/** The reducer: state × what etcd holds → state. */
export const adopt = (
  state: NetworkState,
  stored: StoredConfig | undefined,
  { lease, onConfigChange }: Stake = { lease: undefined, onConfigChange: 'hold' },
): NetworkState => {
  if (!stored) return keep(state, Fault.of('config-missing'))
  const parsed = parseNetworkConfig(stored.value)
  if (parsed.kind === 'invalid') return keep(state, Fault.of('config-invalid', printComplaint(parsed)))
  const { value: config } = parsed
  const network = inForce(config, stored)
  if (state.kind === 'none') return { kind: 'network', network }
  const change = judgeConfigChange(state.network.config, config, lease)
  switch (change.kind) {
    case 'same':
    case 'adopt':
      return { kind: 'network', network }
    case 'renumber': {
      if (onConfigChange === 'renumber') return { kind: 'network', network }
      const { fields } = change
      const said = `${fields.join(', ')} changed; run tweed renumber on this host to adopt the new network`
      return keep(state, Fault.of('config-announced', said), { config, stored, fields })
    }
  }
}

const inForce = (config: NetworkConfig, stored: StoredConfig): Network => ({
  config,
  stored,
  current: true,
  fault: undefined,
  announced: undefined,
})

/** The order: nothing where nothing is announced. */
const adoptAnnounced = (state: NetworkState): NetworkState => {
  const announced = state.kind === 'network' ? state.network.announced : undefined
  return announced ? { kind: 'network', network: inForce(announced.config, announced.stored) } : state
}

const keep = (state: NetworkState, fault: Fault, announced?: Announced): NetworkState =>
  state.kind === 'none'
    ? { kind: 'none', fault }
    : { kind: 'network', network: { ...state.network, current: false, fault, announced } }
