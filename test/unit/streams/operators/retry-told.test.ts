import { Fault } from '../../../../src/core/fault.ts'
import { retryTold } from '../../../../src/streams/operators/retry-told.ts'
import { marbles } from '../../../support/marbles.ts'

const unreachable = Fault.of('etcd-unreachable')
const denied = Fault.of('etcd-denied')
const told = retryTold<string>({ baseMs: 3, capMs: 3, random: () => 0, tell: ({ code }) => code })

describe('retryTold', () => {
  it('tells each fault as a value, transient or not, and tries again', () => {
    marbles(({ cold, expectObservable, expectSubscriptions }) => {
      for (const fault of [unreachable, denied]) {
        const source = cold('-a-#', undefined, fault)
        const subs = ['              ^--!', '------^--!', '------------^!']
        const unsub = '              -------------!'
        const expected = '           -a-x---a-x---'

        expectObservable(source.pipe(told), unsub).toBe(expected, { a: 'a', x: fault.code })
        expectSubscriptions(source.subscriptions).toBe(subs.map((s) => s.trim()))
      }
    })
  })

  it('lets an error that is no fault end the stream: it is a bug', () => {
    marbles(({ cold, expectObservable, expectSubscriptions }) => {
      const bug = new Error('bug')
      const source = cold('-#', undefined, bug)
      expectObservable(source.pipe(told)).toBe('-#', undefined, bug)
      expectSubscriptions(source.subscriptions).toBe('^!')
    })
  })

  it('completes with its source', () => {
    marbles(({ cold, expectObservable }) => {
      expectObservable(cold('-a|').pipe(told)).toBe('-a|')
    })
  })
})
