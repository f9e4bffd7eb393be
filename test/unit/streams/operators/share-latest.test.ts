import { concat, NEVER } from 'rxjs'
import { shareLatest } from '../../../../src/streams/operators/share-latest.ts'
import { marbles } from '../../../support/marbles.ts'

describe('shareLatest', () => {
  it('subscribes once for everybody, and gives newcomers the last value', () => {
    marbles(({ cold, expectObservable, expectSubscriptions }) => {
      const source = cold(' -a--b----c---')
      const early = '       ^-----------!'
      const earlyGets = '   -a--b----c---'
      const late = '        ------^-----!'
      const lateGets = '    ------b--c---'
      const sourceSubs = '  ^-----------!'
      const shared$ = source.pipe(shareLatest())

      expectObservable(shared$, early).toBe(earlyGets)
      expectObservable(shared$, late).toBe(lateGets)
      expectSubscriptions(source.subscriptions).toBe(sourceSubs)
    })
  })

  it('ends with its last subscriber, and knows nothing of it when the next comes', () => {
    marbles(({ cold, expectObservable, expectSubscriptions }) => {
      const source = cold(' -a----')
      const first = '       ^--!    '
      const firstGets = '   -a--    '
      const second = '      -----^--!'
      const secondGets = '  ------a--'
      const sourceSubs = [' ^--!    '.trim(), '-----^--!']
      const shared$ = source.pipe(shareLatest())

      expectObservable(shared$, first).toBe(firstGets)
      expectObservable(shared$, second).toBe(secondGets)
      expectSubscriptions(source.subscriptions).toBe(sourceSubs)
    })
  })

  it('passes an error on to everybody, and starts anew for the next', () => {
    marbles(({ cold, expectObservable, expectSubscriptions }) => {
      const source = cold(' -a-#  ')
      const sourceSubs = [' ^--!'.trim(), '-----^--!']
      const shared$ = source.pipe(shareLatest())

      expectObservable(shared$).toBe('-a-#')
      expectObservable(shared$, '--^').toBe('--a#')
      expectObservable(shared$, '-----^').toBe('------a-#')
      expectSubscriptions(source.subscriptions).toBe(sourceSubs)
    })
  })

  it('completes for everybody', () => {
    marbles(({ cold, expectObservable }) => {
      const shared$ = cold('-a-|').pipe(shareLatest())
      expectObservable(shared$).toBe('-a-|')
      expectObservable(concat(shared$, NEVER), '^--!').toBe('-a--')
    })
  })
})
