import { expect } from 'chai'
import { NeighMessage } from '../../../../src/adapters/netlink/decode.ts'
import { FdbEchoes } from '../../../../src/adapters/netlink/fdb-echoes.ts'
import type { FdbEntry } from '../../../../src/core/kernel/rows.ts'
import { fdb } from '../../core/kernel/fixtures.ts'

describe('FdbEchoes', () => {
  let echoes: FdbEchoes
  beforeEach(() => (echoes = new FdbEchoes()))
  const told = ({ mac, vtep, link }: FdbEntry): NeighMessage =>
    Object.assign(new NeighMessage(), { mac, dst: vtep, link })
  const elsewhere = fdb(2, '192.0.2.99')

  it('recognises each write once, in the order of the writes', () => {
    echoes.wrote('add', fdb(2))
    echoes.wrote('remove', fdb(2))
    echoes.wrote('add', elsewhere)
    expect(echoes.recognise('add', told(fdb(2)))).to.equal(true)
    expect(echoes.recognise('remove', told(fdb(2)))).to.equal(true)
    expect(echoes.recognise('add', told(elsewhere))).to.equal(true)
    expect(echoes.recognise('add', told(elsewhere))).to.equal(false)
  })

  it('knows nothing of what it did not write', () => {
    echoes.wrote('add', fdb(2))
    expect(echoes.recognise('add', told(fdb(3)))).to.equal(false)
    expect(echoes.recognise('remove', told(fdb(2)))).to.equal(false)
  })

  it('passes over writes that raised no notification', () => {
    for (const n of [2, 3, 4]) echoes.wrote('add', fdb(n))
    expect(echoes.recognise('add', told(fdb(4)))).to.equal(true)
    expect(echoes.recognise('add', told(fdb(2))), 'its time is over').to.equal(false)
  })

  it('expects nothing more of a MAC that somebody else has changed', () => {
    echoes.wrote('add', fdb(2))
    echoes.wrote('add', fdb(3))
    expect(echoes.recognise('add', told(elsewhere))).to.equal(false)
    expect(echoes.recognise('add', told(fdb(2)))).to.equal(false)
    expect(echoes.recognise('add', told(fdb(3)))).to.equal(true)
  })

  it('keeps what was written last when too much was', () => {
    echoes.wrote('add', fdb(2))
    for (let n = 0; n < 30_000; n++) echoes.wrote('add', fdb(3))
    echoes.wrote('add', fdb(4))
    expect(echoes.recognise('add', told(fdb(2)))).to.equal(false)
    expect(echoes.recognise('add', told(fdb(4)))).to.equal(true)
  })
})
