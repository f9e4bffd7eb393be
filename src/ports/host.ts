import type { Observable } from 'rxjs'
import type { ChecksumErrors } from '../core/checksums.ts'
import type { Family, Ip } from '../core/net/ip.ts'
import type { Mac } from '../core/net/mac.ts'
import type { StoredRecord } from '../core/overlay/record.ts'
import type { StoredConfig } from './lease-store.ts'

/** Files and services of the host that are neither kernel tables nor etcd. */
export interface Host {
  /** What the last run left; `undefined` on the first. */
  load$(): Observable<SavedState | undefined>
  save$(state: SavedState): Observable<void>
  loadPeers$(): Observable<readonly StoredRecord[]>
  savePeers$(records: readonly StoredRecord[]): Observable<void>
  /** Removes what {@link save$} and {@link savePeers$} wrote. */
  forget$(): Observable<void>
  removeSubnetEnv$(): Observable<void>

  readSubnetEnv$(): Observable<string | undefined>
  /** Written atomically, only when it differs. */
  writeSubnetEnv$(text: string): Observable<void>

  /** A stable id for this host with this address: two clones of one image differ, a lost state file doesn't matter. */
  nodeId(publicIp: Ip): string
  /** The MAC of this host's VTEP: a function of the host, so that it survives a lost device and a reboot. */
  vtepMac(node: string, vni: number): Mac

  /** Switches forwarding of this family on if it is off; emits whether it is on. */
  forward$(family: Family): Observable<boolean>
  /** Packets that arrived with a wrong checksum, since the machine started. */
  checksumErrors$(): Observable<ChecksumErrors>
  /** Name of a running process; undefined where there is none of that id. */
  processName(pid: number): string | undefined
  /** How long the machine has been up. */
  uptimeMs(): number
  /** sd_notify(3); silent where there is no service manager. */
  notify(state: string): void
}

/** The state file: enough to come back, without etcd, as who we were. */
export interface SavedState {
  readonly node: string
  /** Of IPv4, as the two below it; empty where the network has none. */
  readonly publicIp: string
  readonly device: string
  readonly vtepMac: string
  /** Of IPv6, if the network has it. */
  readonly ipv6?: { readonly publicIp: string; readonly device: string; readonly vtepMac: string } | undefined
  readonly config: StoredConfig
  readonly lease: { readonly key: string; readonly leaseId: string; readonly modRevision: number }
}
