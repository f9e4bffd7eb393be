import { defer, type Observable, of, Subject, throwError } from 'rxjs'
import type { Fault } from '../../core/fault.ts'
import { ownTable } from '../../core/filter/masquerade.ts'
import { type NftCommand, type NftObject, objectsOf } from '../../core/filter/nftables.ts'
import type { FilterChange, PacketFilter } from '../../ports/packet-filter.ts'

/** nftables without a kernel: holds what it is told, and gives handles. */
export class MemoryPacketFilter implements PacketFilter {
  readonly #changes$ = new Subject<FilterChange>()
  readonly changes$: Observable<FilterChange> = this.#changes$
  #objects: readonly NftObject[] = []
  #handle = 0
  /** Of iptables-legacy, which tells nobody of changes. */
  legacy: readonly NftObject[] = []
  /** Everything errors with it, while it is set. */
  fault: Fault | undefined

  get objects(): readonly NftObject[] {
    return this.#objects
  }

  /** Somebody else's hand. */
  set(objects: readonly NftObject[], change: FilterChange = 'others'): void {
    this.#objects = objects.map((object) => this.#withHandle(object))
    this.#changes$.next(change)
  }

  read$(): Observable<readonly NftObject[]> {
    return defer(() => this.#answer$(() => this.#objects))
  }

  readLegacy$(): Observable<readonly NftObject[]> {
    return defer(() => of(this.legacy))
  }

  apply$(commands: readonly NftCommand[]): Observable<void> {
    return defer(() =>
      this.#answer$(() => {
        for (const command of commands) this.#objects = this.#after(command)
        this.#changes$.next('own')
      }),
    )
  }

  #answer$<T>(act: () => T): Observable<T> {
    const { fault } = this
    return fault ? throwError(() => fault) : of(act())
  }

  #after(command: NftCommand): readonly NftObject[] {
    if ('insert' in command) return [this.#withHandle(command.insert), ...this.#objects]
    if ('add' in command) {
      const isThere = command.add.table && objectsOf(this.#objects, command.add.table).length > 0
      return isThere ? this.#objects : [...this.#objects, this.#withHandle(command.add)]
    }
    const { rule } = command.delete
    const gone = rule ? [] : objectsOf(this.#objects, ownTable)
    return this.#objects.filter((object) =>
      rule ? object.rule?.handle !== rule.handle || !object.rule : !gone.includes(object),
    )
  }

  #withHandle(object: NftObject): NftObject {
    const mark = ([kind, body]: [string, unknown]) => [kind, { ...(body as object), handle: ++this.#handle }]
    return Object.fromEntries(Object.entries(object).map(mark)) as NftObject
  }
}
