import { expect } from 'chai'
import { TestScheduler } from 'rxjs/testing'

type Helpers = Parameters<Parameters<TestScheduler['run']>[0]>[0]

/** Runs a marble test: one character is a millisecond, groups in parentheses happen together. */
export const marbles = (test: (helpers: Helpers) => void): void =>
  new TestScheduler((actual, expected) => {
    expect(actual).to.deep.equal(expected)
  }).run(test)
