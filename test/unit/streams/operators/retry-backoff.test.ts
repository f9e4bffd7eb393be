import { expect } from 'chai'
import { defer, EMPTY, of, throwError } from 'rxjs'
import { retryBackoff } from '../../../../src/streams/operators/retry-backoff.ts'
import { marbles } from '../../../support/marbles.ts'

const always = { baseMs: 2, capMs: 10, retries: () => true }

describe('retryBackoff', () => {
  it('subscribes again after a delay that grows up to a cap', () => {
    marbles(({ cold, expectObservable, expectSubscriptions }) => {
      const source = cold('-#')
      const subs = [
        '                  ^!                              ',
        '                  ---^!                           ',
        '                  ----------^!                    ', // 2 + 1 × (3 × 2 − 2) = 6
        '                  ---------------------^!         ', // 2 + 1 × (3 × 6 − 2), capped to 10
        '                  --------------------------------^!',
      ]
      const unsub = '      ---------------------------------!'

      expectObservable(source.pipe(retryBackoff({ ...always, random: () => 1 })), unsub).toBe('')
      expectSubscriptions(source.subscriptions).toBe(subs)
    })
  })

  it('never waits less than the base', () => {
    marbles(({ cold, expectObservable, expectSubscriptions }) => {
      const source = cold('#')
      expectObservable(source.pipe(retryBackoff({ ...always, random: () => 0 })), '-----!').toBe('')
      expectSubscriptions(source.subscriptions).toBe(['(^!)', '--(^!)', '----(^!)'])
    })
  })

  it('begins again with short delays after a value', () => {
    const delays: number[] = []
    marbles(({ cold, expectObservable }) => {
      let n = 0
      const source$ = defer(() => cold(++n === 3 ? '-a-#' : '-#'))
      const onRetry = (_: unknown, delayMs: number) => delays.push(delayMs)
      const result$ = source$.pipe(retryBackoff({ ...always, random: () => 1, onRetry }))
      expectObservable(result$, '-----------------------!').toBe('-----------a')
    })
    expect(delays.slice(0, 4)).to.deep.equal([2, 6, 2, 6])
  })

  it('passes on what another try would not mend', () => {
    marbles(({ cold, expectObservable, expectSubscriptions }) => {
      const source = cold('-a-#', undefined, 'fatal')
      const expected = '   -a-#'
      const retries = (error: unknown): boolean => error !== 'fatal'

      expectObservable(source.pipe(retryBackoff({ ...always, retries, random: () => 0 }))).toBe(
        expected,
        undefined,
        'fatal',
      )
      expectSubscriptions(source.subscriptions).toBe('^--!')
    })
  })

  it('tells of each retry and how long it waits', () => {
    const told: unknown[] = []
    marbles(({ expectObservable }) => {
      let left = 2
      const source$ = defer(() => (left-- > 0 ? throwError(() => 'no') : of('yes')))
      const onRetry = (error: unknown, delayMs: number) => told.push([error, delayMs])
      expectObservable(source$.pipe(retryBackoff({ ...always, random: () => 0.5, onRetry }))).toBe(
        '------(a|)',
        {
          a: 'yes',
        },
      )
    })
    expect(told).to.deep.equal([
      ['no', 2],
      ['no', 4],
    ])
  })

  it('waits for nothing once nobody listens', () => {
    marbles(({ cold, expectObservable, expectSubscriptions, flush }) => {
      const source = cold('-#')
      expectObservable(source.pipe(retryBackoff({ ...always, random: () => 1 })), '--!').toBe('')
      flush()
      expectSubscriptions(source.subscriptions).toBe('^!')
    })
  })

  it('completes with its source', () => {
    marbles(({ expectObservable }) => {
      expectObservable(EMPTY.pipe(retryBackoff({ ...always, random: () => 0 }))).toBe('|')
    })
  })
})
