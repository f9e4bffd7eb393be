import { type Observable, share } from 'rxjs'
import { MemoryLeaseStore } from '../../../src/adapters/memory/lease-store.ts'
import { ownRecord } from '../../../src/core/overlay/own-record.ts'
import { encodeRecord } from '../../../src/core/overlay/record.ts'
import type { AcquireOptions } from '../../../src/streams/acquire.ts'
import type { LeaseOptions } from '../../../src/streams/lease.ts'
import type { Network } from '../../../src/streams/network.ts'
import { VirtualTime } from '../../support/virtual-time.ts'
import { config, me } from '../core/overlay/fixtures.ts'

/** An etcd with a configuration, in virtual time: a request takes 1 ms there and 1 ms back. */
export class Leasing {
  readonly time = new VirtualTime()
  readonly store = new MemoryLeaseStore()
  readonly network: Network
  /** What this host writes. */
  readonly value: string

  constructor(change: Readonly<Record<string, unknown>> = {}) {
    this.store.writeConfig(JSON.stringify(change))
    const stored = this.store.config
    if (!stored) throw new Error('there is a configuration')
    this.network = { config: config(change), stored, current: true, fault: undefined, announced: undefined }
    this.value = encodeRecord(ownRecord(me, this.network.config.backend))
  }

  acquiring(change: Partial<AcquireOptions> = {}): AcquireOptions {
    const { store, network } = this
    const random = (): number => 0
    return {
      store,
      view$: store.read$(),
      network,
      me,
      held: undefined,
      previous: undefined,
      wanted: undefined,
      insist: undefined,
      ttlSeconds: 86_400,
      random,
      ...change,
    }
  }

  holding(change: Partial<LeaseOptions> = {}): LeaseOptions {
    const records$ = this.store.records$.pipe(share())
    return {
      ...this.acquiring(),
      network: () => this.network,
      onConflict: 'renumber',
      saved: undefined,
      records$,
      listed: () => true,
      ...change,
    }
  }

  /** Keeps what a stream emits, and how it ended. */
  follow<T>(stream$: Observable<T>): Followed<T> {
    return new Followed(stream$)
  }
}

export class Followed<T> {
  readonly values: T[] = []
  error: unknown
  readonly stop: () => void

  constructor(stream$: Observable<T>) {
    const subscription = stream$.subscribe({
      next: (value) => this.values.push(value),
      error: (error: unknown) => (this.error = error),
    })
    this.stop = () => subscription.unsubscribe()
  }

  get last(): T {
    const last = this.values.at(-1)
    if (last === undefined) throw new Error('nothing has been emitted')
    return last
  }
}
