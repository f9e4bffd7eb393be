/** Which devices leave checksums to the network card: all, until it is said otherwise. */
export class Offloads {
  readonly #without = new Set<number>()

  of(link: number): boolean {
    return !this.#without.has(link)
  }

  /** Whether that changed anything. */
  set(link: number, wanted: boolean | undefined): boolean {
    if (wanted === undefined || wanted === this.of(link)) return false
    if (wanted) this.#without.delete(link)
    else this.#without.add(link)
    return true
  }
}
