import { expect } from 'chai'
import { Millis } from '../../../src/core/time.ts'
import { TokenBucket } from '../../../src/core/token-bucket.ts'

describe('TokenBucket', () => {
  const take = (bucket: TokenBucket, times: number, at: number): number =>
    Array.from({ length: times }, () => bucket.take(Millis.of(at))).filter(Boolean).length

  it('gives a burst, and then what has come since', () => {
    const bucket = new TokenBucket({ ratePerSecond: 100, burst: 5 })
    expect(take(bucket, 10, 0)).to.equal(5)
    expect(take(bucket, 10, 10)).to.equal(1)
    expect(take(bucket, 10, 40)).to.equal(3)
  })
  it('saves no more than the burst', () => {
    const bucket = new TokenBucket({ ratePerSecond: 100, burst: 5 })
    expect(take(bucket, 10, 0)).to.equal(5)
    expect(take(bucket, 10, 3_600_000)).to.equal(5)
  })
  it('keeps fractions', () => {
    const bucket = new TokenBucket({ ratePerSecond: 100, burst: 1 })
    expect(take(bucket, 1, 0)).to.equal(1)
    expect([4, 8, 12].map((at) => take(bucket, 1, at))).to.deep.equal([0, 0, 1])
  })
})
