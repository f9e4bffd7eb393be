import type { Observable } from 'rxjs'
import type { Ip } from '../core/net/ip.ts'
import type { Fault } from '../core/fault.ts'
import type { RecordEvent, StoredRecord } from '../core/overlay/record.ts'

export type { RecordChange, RecordEvent } from '../core/overlay/record.ts'

/** etcd as an overlay agent needs it; keys are below one prefix. Streams reconnect by themselves and never end. */
export interface LeaseStore {
  /** `<prefix>/config`, now and after every change; `undefined` is "no such key". */
  readonly config$: Observable<StoreEvent<StoredConfig | undefined>>

  /** `<prefix>/subnets/`: one snapshot, then changes, and a snapshot again after compaction, wipe or restore. */
  readonly records$: Observable<StoreEvent<RecordEvent>>

  /** One consistent read of configuration and records, for allocation, `plan` and `network get`. */
  read$(): Observable<StoreView>

  /** A new etcd lease; emits its id. */
  grant$(ttlSeconds: number): Observable<string>
  /** Emits the remaining seconds; 0 says that etcd does not know the lease. */
  keepAlive$(leaseId: string): Observable<number>
  revoke$(leaseId: string): Observable<void>

  /** Compare-and-swap of one record. Never retried blindly: a lost answer is recognised as our own success. */
  claim$(claim: Claim): Observable<ClaimResult>
  /** Deletes the record if it is unchanged since `modRevision`. */
  release$(key: string, modRevision: number): Observable<void>

  /** Cuts the connections from these addresses, which the host has lost: they are dead, and nobody else tells. */
  cutFrom(addresses: readonly Ip[]): void
  /** The same etcd for an IPv6-only network: its records are below `<prefix>/ipv6/subnets/`, where flannel sees none. */
  readonly ipv6Only: LeaseStore

  /** Writes `<prefix>/config` unless it changed since `modRevision` (0: must not exist; undefined: whatever). */
  putConfig$(value: string, modRevision: number | undefined): Observable<'written' | 'changed-meanwhile'>
}

export interface StoredConfig {
  readonly value: string
  readonly modRevision: number
}

/** A value of the stream, or the state of the connection that it comes through. */
export type StoreEvent<T> =
  | { readonly kind: 'value'; readonly value: T; readonly revision: number }
  | { readonly kind: 'connected' }
  | { readonly kind: 'disconnected'; readonly fault: Fault }

export interface StoreView {
  readonly config: StoredConfig | undefined
  readonly records: readonly StoredRecord[]
  readonly revision: number
}

export interface Claim {
  readonly key: string
  readonly value: string
  readonly leaseId: string
  /** Guard on the record: the revision that it must still have; 0 means that it must not exist. */
  readonly modRevision: number
  /** Guard on the configuration: allocation from two different ranges excludes itself. */
  readonly configRevision: number | undefined
}

export type ClaimResult =
  | { readonly kind: 'claimed'; readonly modRevision: number }
  /** Somebody else holds the key; `record` is what stands there, if anything still does. */
  | { readonly kind: 'taken'; readonly record: StoredRecord | undefined }
  | { readonly kind: 'config-changed' }
