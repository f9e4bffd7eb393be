import type { Observable } from 'rxjs'
import type { NftCommand, NftObject } from '../core/filter/nftables.ts'

/** nftables of one network namespace, as far as an overlay agent needs it. */
export interface PacketFilter {
  /** Something has changed by anybody's hand, ours included. Listens while it is subscribed to. */
  readonly changes$: Observable<FilterChange>

  /**
   * Our table, and the whole of each table that has a chain for forwarded packets; errors with a {@link Fault}, with
   * `nft-missing` where the host has no nft.
   */
  read$(): Observable<readonly NftObject[]>

  /**
   * The filter tables of iptables-legacy, in the form of {@link read$}: only to be looked at. Empty where there are none,
   * and where they can't be read.
   */
  readLegacy$(): Observable<readonly NftObject[]>

  /** All of it in one transaction, or nothing. */
  apply$(commands: readonly NftCommand[]): Observable<void>
}

/** What a change was about: our own table, or anything that may be on the way of forwarded packets. */
export type FilterChange = 'own' | 'others'
