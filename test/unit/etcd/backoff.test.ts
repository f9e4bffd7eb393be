import { expect } from 'chai'
import { doublingJitter } from '../../../src/adapters/etcd/backoff.ts'

describe('doublingJitter', () => {
  const pauses = (random: () => number) => {
    const backoff = doublingJitter(200, 5000, random)
    return Array.from({ length: 7 }, () => backoff.next())
  }

  it('doubles up to its cap', () => {
    expect(pauses(() => 1)).to.deep.equal([400, 800, 1600, 3200, 5000, 5000, 5000])
  })

  it('never pauses for less than half of that', () => {
    expect(pauses(() => 0)).to.deep.equal([200, 400, 800, 1600, 2500, 2500, 2500])
  })

  it('begins anew when reset', () => {
    const backoff = doublingJitter(200, 5000, () => 1)
    backoff.next()
    backoff.next()
    backoff.reset()
    expect(backoff.next()).to.equal(400)
  })
})
