import { expect } from 'chai'
import { of } from 'rxjs'
import { afterEach as afterEachValue } from '../../../../src/streams/operators/after-each.ts'
import { marbles } from '../../../support/marbles.ts'

describe('afterEach', () => {
  it('acts after a value has reached everybody', () => {
    const order: string[] = []
    of(1, 2)
      .pipe(afterEachValue(() => order.push('act')))
      .subscribe({
        next: (n) => order.push(`got ${n}`),
        error: (error: unknown) => expect.fail(String(error)),
      })
    expect(order).to.deep.equal(['got 1', 'act', 'got 2', 'act'])
  })

  it('leaves values, errors and the end as they are', () => {
    marbles(({ cold, expectObservable, expectSubscriptions }) => {
      const source = cold('-a-b-|')
      const subs = '       ^----!'
      const expected = '   -a-b-|'

      expectObservable(source.pipe(afterEachValue(() => undefined))).toBe(expected)
      expectSubscriptions(source.subscriptions).toBe(subs)
      expectObservable(cold('-a-#').pipe(afterEachValue(() => undefined))).toBe('-a-#')
    })
  })

  it('acts no more once nobody listens', () => {
    let acted = 0
    marbles(({ cold, expectObservable }) => {
      expectObservable(cold('-a-b').pipe(afterEachValue(() => acted++)), '--!').toBe('-a-')
    })
    expect(acted).to.equal(1)
  })
})
