import type { Observable, Subscription } from 'rxjs'
import type { StoredRecord } from '../../../src/core/overlay/record.ts'
import type { RecordEvent, StoreEvent } from '../../../src/ports/lease-store.ts'

/** Everything that a stream has said so far, and a way to wait for what it has yet to say. */
export class Collected<T> {
  readonly events: T[] = []
  readonly #subscription: Subscription
  readonly #waiting = new Set<() => void>()
  #ended: Error | undefined

  constructor(stream$: Observable<T>) {
    this.#subscription = stream$.subscribe({
      next: (event) => {
        this.events.push(event)
        this.#wake()
      },
      error: (error: unknown) => this.#end(error instanceof Error ? error : new Error(JSON.stringify(error))),
      complete: () => this.#end(new Error('the stream is complete')),
    })
  }

  /** Resolves when the events satisfy the condition, which is asked again after each of them. */
  async until(condition: (events: readonly T[]) => boolean): Promise<void> {
    while (!condition(this.events)) {
      if (this.#ended) throw this.#ended
      await new Promise<void>((resolve) => this.#waiting.add(resolve))
    }
  }

  get isComplete(): boolean {
    return this.#ended !== undefined
  }

  stop(): void {
    this.#subscription.unsubscribe()
  }

  #end(why: Error): void {
    this.#ended = why
    this.#wake()
  }

  #wake(): void {
    for (const resolve of this.#waiting) resolve()
    this.#waiting.clear()
  }
}

/** A collected stream of records, in the words of the tests. */
export class CollectedRecords extends Collected<StoreEvent<RecordEvent>> {
  get snapshots(): readonly (readonly StoredRecord[])[] {
    return this.events.flatMap((event) =>
      event.kind === 'value' && event.value.kind === 'snapshot' ? [event.value.records] : [],
    )
  }

  /** `put KEY=VALUE` and `delete KEY`, in order, without the snapshots. */
  get changes(): readonly string[] {
    return this.events.flatMap((event) =>
      event.kind === 'value' && event.value.kind === 'changes'
        ? event.value.changes.map((change) =>
            change.kind === 'put'
              ? `put ${change.record.key}=${change.record.value}`
              : `delete ${change.key}`,
          )
        : [],
    )
  }

  /** Of every record put, in the order of arrival. */
  get revisions(): readonly number[] {
    return this.events.flatMap((event) =>
      event.kind === 'value' && event.value.kind === 'changes'
        ? event.value.changes.flatMap((change) => (change.kind === 'put' ? [change.record.modRevision] : []))
        : [],
    )
  }

  get states(): readonly ('connected' | 'disconnected')[] {
    return this.events.flatMap(({ kind }) => (kind === 'value' ? [] : [kind]))
  }

  connected(times = 1): Promise<void> {
    return this.until(() => this.states.filter((state) => state === 'connected').length >= times)
  }
}

/** `KEY=VALUE` of each. */
export const shown = (records: readonly StoredRecord[]): readonly string[] =>
  records.map(({ key, value }) => `${key}=${value}`)
