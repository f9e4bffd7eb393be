import { expect } from 'chai'
import { missedByWatch } from '../../../../src/core/overlay/audit.ts'
import { recordOf } from './fixtures.ts'

describe('missedByWatch', () => {
  const held = [recordOf(2), recordOf(3)]

  it('is nothing where the list is what we hold', () => {
    expect(missedByWatch(held, held, 200)).to.equal(0)
    expect(missedByWatch([], [], 0)).to.equal(0)
  })
  it('counts a record that the watch never told of', () => {
    expect(missedByWatch(held, [...held, recordOf(4)], 200)).to.equal(1)
  })
  it('counts a change that it never told of', () => {
    expect(missedByWatch(held, [recordOf(2), recordOf(3, { modRevision: 150 })], 200)).to.equal(1)
  })
  it('counts each of them', () => {
    expect(missedByWatch([], [recordOf(2), recordOf(3), recordOf(4)], 200)).to.equal(3)
  })
  it('does not count what is newer than the last news: it was on its way', () => {
    expect(missedByWatch(held, [...held, recordOf(4, { modRevision: 201 })], 200)).to.equal(0)
    expect(missedByWatch(held, [...held, recordOf(4, { modRevision: 200 })], 200)).to.equal(1)
  })
  it('does not count deletions, which have no date in a list', () => {
    expect(missedByWatch(held, [recordOf(2)], 200)).to.equal(0)
  })
})
