import { defer, type Observable, of, throwError } from 'rxjs'
import { ChecksumErrors } from '../../core/checksums.ts'
import type { Fault } from '../../core/fault.ts'
import { Mac } from '../../core/net/mac.ts'
import type { StoredRecord } from '../../core/overlay/record.ts'
import type { Host, SavedState } from '../../ports/host.ts'

/** Files and services of a host, in fields. Survives the restarts of an agent, as a disk does. */
export class MemoryHost implements Host {
  saved: SavedState | undefined
  peers: readonly StoredRecord[] = []
  subnetEnv: string | undefined
  /** Set: what every write fails with. */
  unwritable: Fault | undefined
  /** What `/proc/sys` will say of forwarding. */
  forwards = true
  checksumErrors: ChecksumErrors = ChecksumErrors.none
  /** What the service manager has been told. */
  readonly told: string[] = []
  readonly #node: string
  readonly #vtepMac: Mac

  constructor(node: string, vtepMac: Mac) {
    this.#node = node
    this.#vtepMac = vtepMac
  }

  load$(): Observable<SavedState | undefined> {
    return defer(() => of(this.saved))
  }
  save$(state: SavedState): Observable<void> {
    return this.#write$(() => (this.saved = state))
  }
  loadPeers$(): Observable<readonly StoredRecord[]> {
    return defer(() => of(this.peers))
  }
  savePeers$(records: readonly StoredRecord[]): Observable<void> {
    return this.#write$(() => (this.peers = records))
  }
  forget$(): Observable<void> {
    return this.#write$(() => {
      this.saved = undefined
      this.peers = []
    })
  }
  removeSubnetEnv$(): Observable<void> {
    return this.#write$(() => (this.subnetEnv = undefined))
  }
  readSubnetEnv$(): Observable<string | undefined> {
    return defer(() => of(this.subnetEnv))
  }
  writeSubnetEnv$(text: string): Observable<void> {
    return this.#write$(() => (this.subnetEnv = text))
  }

  nodeId(): string {
    return this.#node
  }
  /** That of the IPv6 device is another: 02:00:00:00:06:01 beside 02:00:00:00:00:01. */
  vtepMac(seed: string): Mac {
    return seed === this.#node ? this.#vtepMac : (Mac.of(this.#vtepMac + 0x600) ?? this.#vtepMac)
  }
  forward$(): Observable<boolean> {
    return defer(() => of(this.forwards))
  }
  checksumErrors$(): Observable<ChecksumErrors> {
    return defer(() => of(this.checksumErrors))
  }
  processName(): string | undefined {
    return undefined
  }
  uptimeMs(): number {
    return Infinity
  }
  notify(state: string): void {
    this.told.push(state)
  }

  #write$(write: () => unknown): Observable<void> {
    return defer(() => {
      const fault = this.unwritable
      if (fault) return throwError(() => fault)
      write()
      return of(undefined)
    })
  }
}
