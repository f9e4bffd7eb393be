import { expect } from 'chai'
import { Millis } from '../../../src/core/time.ts'

describe('Millis', () => {
  it('reads durations with a unit, and bare numbers as seconds', () => {
    const read = ['250ms', '90s', '10m', '24h', '2d', '60', '1.5s', ' 5s '].map((text) => Millis.parse(text))
    expect(read).to.deep.equal([250, 90_000, 600_000, 86_400_000, 172_800_000, 60_000, 1500, 5000])
  })
  it('reads nothing else', () => {
    for (const text of ['', 's', '-1s', '1w', '1s1', '1 s', '1e3', '0x10'])
      expect(Millis.parse(text), text).to.equal(undefined)
  })
  it('prints the shortest form that it reads back', () => {
    for (const text of ['0s', '250ms', '90s', '10m', '24h', '1500ms'])
      expect(Millis.print(Millis.parse(text) ?? Millis.of(-1)), text).to.equal(text)
    expect(Millis.print(Millis.seconds(120))).to.equal('2m')
  })
})
