import { map, type Observable } from 'rxjs'
import { type NetworkConfig, parseNetworkConfig } from '../core/overlay/network-config.ts'
import type { SubnetKey } from '../core/overlay/record.ts'
import type { LeaseStore } from '../ports/lease-store.ts'

/** Where the records of that network are. */
export const storeOf = (store: LeaseStore, { ipv4 }: Pick<NetworkConfig, 'ipv4'>): LeaseStore =>
  ipv4 ? store : store.ipv6Only

/** Where the record with that key is. */
export const storeOfKey = (store: LeaseStore, { subnet }: SubnetKey): LeaseStore =>
  subnet ? store : store.ipv6Only

/** Where the records of the network are that etcd describes. */
export const storeOfNetwork$ = (store: LeaseStore): Observable<LeaseStore> =>
  store.read$().pipe(
    map(({ config }) => {
      const network = config && parseNetworkConfig(config.value)
      return network?.kind === 'valid' ? storeOf(store, network.value) : store
    }),
  )
