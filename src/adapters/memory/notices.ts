import { type Observable, Subject } from 'rxjs'
import type { KernelEvent, Miss } from '../../ports/kernel.ts'

/** What the kernel says unasked, one thing after the other, also where a listener causes the next. */
export class Notices {
  readonly #misses$ = new Subject<Miss>()
  readonly #events$ = new Subject<KernelEvent>()
  readonly misses$: Observable<Miss> = this.#misses$.asObservable()
  readonly events$: Observable<KernelEvent> = this.#events$.asObservable()
  readonly #unsaid: (() => void)[] = []
  #saying = false
  /** Nothing is heard, as when the socket's buffer overflows. */
  lost = false

  ask(miss: Miss): void {
    this.#tell(() => this.#misses$.next(miss))
  }

  say(event: KernelEvent): void {
    this.#tell(() => this.#events$.next(event))
  }

  #tell(one: () => void): void {
    if (this.lost) return
    this.#unsaid.push(one)
    if (this.#saying) return
    this.#saying = true
    for (let next = this.#unsaid.shift(); next; next = this.#unsaid.shift()) next()
    this.#saying = false
  }
}
