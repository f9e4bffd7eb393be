import { expect } from 'chai'
import { NEVER, of, Subject, throwError } from 'rxjs'
import { runLatest } from '../../../../src/streams/operators/run-latest.ts'
import { marbles } from '../../../support/marbles.ts'

describe('runLatest', () => {
  it('gives each value a job while they come slowly', () => {
    marbles(({ cold, hot, expectObservable, expectSubscriptions }) => {
      const source = hot(' -a-----b-----|')
      const subs = '       ^------------!'
      const job = cold('    -x-|          ')
      const expected = '   --x-----x----|'

      expectObservable(source.pipe(runLatest(() => job))).toBe(expected)
      expectSubscriptions(source.subscriptions).toBe(subs)
    })
  })

  it('keeps the newest of the values that arrive during a job, and never runs two jobs', () => {
    marbles(({ cold, hot, expectObservable, expectSubscriptions }) => {
      const source = hot(' -abc--d----------|')
      const a = cold('      ---x|            ')
      const aSubs = '      -^---!            '
      const c = cold('          ---x|        ')
      const cSubs = '      -----^---!        '
      const d = cold('              ---x|    ')
      const dSubs = '      ---------^---!    '
      const expected = '   ----x---x---x----|'
      const jobs: Record<string, typeof a> = { a, c, d }

      expectObservable(source.pipe(runLatest((value) => jobs[value] ?? NEVER))).toBe(expected)
      expectSubscriptions(a.subscriptions).toBe(aSubs)
      expectSubscriptions(c.subscriptions).toBe(cSubs)
      expectSubscriptions(d.subscriptions).toBe(dSubs)
    })
  })

  it('ends after the last job, also when the source ended long before', () => {
    marbles(({ cold, hot, expectObservable }) => {
      const source = hot(' -ab|          ')
      const job = cold('    ----x|       ')
      const expected = '   -----x----x|  '

      expectObservable(source.pipe(runLatest(() => job))).toBe(expected)
    })
  })

  it('ends with an empty source', () => {
    marbles(({ cold, expectObservable }) => {
      expectObservable(cold('--|').pipe(runLatest(() => NEVER))).toBe('--|')
    })
  })

  it('passes the error of a job on, and leaves the source', () => {
    marbles(({ cold, hot, expectObservable, expectSubscriptions }) => {
      const source = hot(' -a-b-----|')
      const subs = '       ^---!     '
      const job = cold('    ---#     ')
      const expected = '   ----#     '

      expectObservable(source.pipe(runLatest(() => job))).toBe(expected)
      expectSubscriptions(source.subscriptions).toBe(subs)
    })
  })

  it('passes the error of the source on, and stops the job', () => {
    marbles(({ cold, hot, expectObservable, expectSubscriptions }) => {
      const source = hot(' -a--#')
      const job = cold('    -----x|')
      const jobSubs = '    -^--!'

      expectObservable(source.pipe(runLatest(() => job))).toBe('----#')
      expectSubscriptions(job.subscriptions).toBe(jobSubs)
    })
  })

  it('stops the job when nobody listens any more', () => {
    marbles(({ cold, hot, expectObservable, expectSubscriptions }) => {
      const source = hot(' -a-------')
      const unsub = '      ---!     '
      const job = cold('    -----x  ')

      expectObservable(source.pipe(runLatest(() => job)), unsub).toBe('----')
      expectSubscriptions(job.subscriptions).toBe('-^-!')
      expectSubscriptions(source.subscriptions).toBe('^--!')
    })
  })

  it('takes a value that a job itself causes', () => {
    const source$ = new Subject<number>()
    const done: number[] = []
    source$
      .pipe(
        runLatest((n) => {
          if (n < 3) source$.next(n + 1)
          return of(n)
        }),
      )
      .subscribe({ next: (n) => done.push(n), error: (error: unknown) => expect.fail(String(error)) })
    source$.next(1)
    expect(done).to.deep.equal([1, 2, 3])
  })

  it('runs no further job after an error that comes at once', () => {
    marbles(({ expectObservable }) => {
      expectObservable(of(1, 2).pipe(runLatest((n) => throwError(() => n)))).toBe('#', undefined, 1)
    })
  })
})
