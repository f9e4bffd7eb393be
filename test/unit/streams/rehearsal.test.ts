import { expect } from 'chai'
import { Subject } from 'rxjs'
import type { Op } from '../../../src/core/kernel/rows.ts'
import type { Family, Ip } from '../../../src/core/net/ip.ts'
import type { Miss, Stage } from '../../../src/ports/kernel.ts'
import { rehearsal$ } from '../../../src/streams/rehearsal.ts'
import { VirtualTime } from '../../support/virtual-time.ts'

/** Keeps what is asked and what is answered. */
class Witness implements Stage {
  readonly #misses$ = new Subject<Miss>()
  readonly misses$ = this.#misses$.asObservable()
  readonly asked: Ip[] = []
  readonly answers: (readonly Op[])[] = []
  closed = false

  ask(miss: Miss): void {
    this.asked.push(miss.ip)
    this.#misses$.next(miss)
  }
  answer(ops: readonly Op[]): void {
    this.answers.push(ops)
  }
  close(): void {
    this.closed = true
    this.#misses$.complete()
  }
}

const rehearse = (families: readonly Family[], openStage: () => Stage): boolean => {
  const time = new VirtualTime()
  let completed = false
  rehearsal$({ openStage, clock: time.clock, families }).subscribe({
    error: (error: unknown) => expect.fail(String(error)),
    complete: () => (completed = true),
  })
  time.advance(1000)
  time.end()
  return completed
}

describe('rehearsal$', () => {
  const cases: readonly (readonly Family[])[] = [[4], [6], [4, 6]]
  for (const families of cases)
    it(`gives each question of IPv${families.join(' and IPv')} the rows that its packet would need, and ends`, () => {
      const stage = new Witness()
      expect(rehearse(families, () => stage)).to.equal(true)
      expect(stage.asked).to.have.length(2000 * families.length)
      expect(new Set(stage.asked).size).to.equal(stage.asked.length)
      const answered = stage.answers.map(([fdb, neighbour]) => [
        fdb?.row.kind,
        neighbour?.row.kind === 'neighbour' && neighbour.row.ip,
      ])
      expect(answered).to.deep.equal(stage.asked.map((ip) => ['fdb', ip]))
      expect(stage.closed).to.equal(true)
    })

  it('is done without where no stage can be had', () => {
    const refuse = (): Stage => {
      throw new Error('EMFILE')
    }
    expect(rehearse([4], refuse)).to.equal(true)
  })
})
