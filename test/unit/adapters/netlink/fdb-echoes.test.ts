import { expect } from 'chai'
import { encodeOp, outgoing } from '../../../../src/adapters/netlink/encode.ts'
import { FdbEchoes } from '../../../../src/adapters/netlink/fdb-echoes.ts'
import { NDA } from '../../../../src/adapters/netlink/wire.ts'
import type { FdbEntry, Op } from '../../../../src/core/kernel/rows.ts'
import { Ip } from '../../../../src/core/net/ip.ts'
import { fdb, neighbour } from '../../core/kernel/fixtures.ts'

/** Behind our own attributes the kernel puts NDA_CACHEINFO. */
const message = (verb: Op['verb'], row: Op['row'], behind: number = NDA.cacheinfo): Int32Array => {
  const { words } = outgoing(2)
  words[encodeOp(words, 0, { verb, row }, { seq: 1 })] = 20 | (behind << 16)
  return words
}

describe('FdbEchoes', () => {
  let echoes: FdbEchoes
  beforeEach(() => (echoes = new FdbEchoes()))
  const wrote = (verb: Op['verb'], row: FdbEntry) => {
    echoes.wrote(message(verb, row), 0)
  }
  const recognises = (verb: Op['verb'], row: Op['row'], behind?: number) =>
    echoes.recognise(message(verb, row, behind), 0)
  const elsewhere = fdb(2, '192.0.2.99')

  it('recognises each write once, in the order of the writes', () => {
    wrote('add', fdb(2))
    wrote('remove', fdb(2))
    wrote('add', elsewhere)
    expect(recognises('add', fdb(2))).to.equal(true)
    expect(recognises('remove', fdb(2))).to.equal(true)
    expect(recognises('add', elsewhere)).to.equal(true)
    expect(recognises('add', elsewhere)).to.equal(false)
  })

  it('knows nothing of what it did not write', () => {
    wrote('add', fdb(2))
    expect(recognises('add', fdb(3))).to.equal(false)
    expect(recognises('add', { ...fdb(2), link: 8 })).to.equal(false)
    expect(recognises('add', elsewhere)).to.equal(false)
    expect(recognises('remove', fdb(2))).to.equal(false)
    expect(recognises('add', neighbour(2))).to.equal(false)
    expect(recognises('add', fdb(2), NDA.port), 'the same with a port of its own').to.equal(false)
    expect(recognises('add', fdb(2))).to.equal(true)
  })

  it('compares all of an IPv6 address', () => {
    const [vtep, other] = ['2001:db8::2', '2001:db8::1:2'].map(Ip.parse)
    if (vtep === undefined || other === undefined) throw new Error('a literal of this test does not parse')
    wrote('add', { ...fdb(2), vtep })
    expect(recognises('add', { ...fdb(2), vtep: other })).to.equal(false)
    expect(recognises('add', { ...fdb(2), vtep })).to.equal(true)
  })

  it('passes over writes that raised no notification', () => {
    for (const n of [2, 3, 4]) wrote('add', fdb(n))
    expect(recognises('add', fdb(4))).to.equal(true)
    expect(recognises('add', fdb(2)), 'its time is over').to.equal(false)
  })

  it('expects nothing more of a MAC that somebody else has changed', () => {
    wrote('add', fdb(2))
    wrote('add', fdb(3))
    echoes.forget(message('add', elsewhere), 0)
    expect(recognises('add', fdb(2))).to.equal(false)
    expect(recognises('add', fdb(3))).to.equal(true)
  })

  it('keeps what was written last when too much was', () => {
    wrote('add', fdb(2))
    for (let n = 0; n < 20_000; n++) wrote('add', fdb(3))
    wrote('add', fdb(4))
    expect(recognises('add', fdb(2))).to.equal(false)
    expect(recognises('add', fdb(4))).to.equal(true)
  })
})
