import { expect } from 'chai'
import { Fault } from '../../../../src/core/fault.ts'
import type { FdbEntry } from '../../../../src/core/kernel/rows.ts'
import { Tracker } from '../../../../src/core/kernel/tracker.ts'
import { Millis } from '../../../../src/core/time.ts'
import { fdb } from './fixtures.ts'

const at = Millis.of
const busy = Fault.of('kernel-busy')
const refused = Fault.of('kernel-refused')

describe('Tracker', () => {
  let table: Tracker<FdbEntry>
  const takeAll = (now = at(0)) => [...table.takeAdds(now, Infinity), ...table.takeRemoves(now, Infinity)]
  beforeEach(() => (table = new Tracker()))

  it('owes what is wanted and absent, once', () => {
    table.want(fdb(2))
    expect(table.pending).to.equal(1)
    expect(takeAll()).to.deep.equal([{ verb: 'add', row: fdb(2) }])
    expect(table.pending).to.equal(0)
    expect(takeAll()).to.deep.equal([])
    expect(table.actual.get(fdb(2).mac)).to.deep.equal(fdb(2))
  })

  it('owes nothing for what stands already, and takes away what nobody wants', () => {
    table.dumped([fdb(2), fdb(3)])
    table.want(fdb(2))
    expect(takeAll()).to.deep.equal([{ verb: 'remove', row: fdb(3) }])
  })

  it('replaces a row that differs, and says that one stands there', () => {
    table.dumped([fdb(2)])
    table.want(fdb(2, '192.0.2.99'))
    expect(takeAll()).to.deep.equal([{ verb: 'add', row: fdb(2, '192.0.2.99'), replace: true }])
  })

  it('leaves a row that differs for as long as nothing may be replaced, and adds what is absent', () => {
    table.dumped([fdb(2)])
    table.want(fdb(2, '192.0.2.99'))
    table.want(fdb(3))
    expect(table.takeAdds(at(0), Infinity, false)).to.deep.equal([{ verb: 'add', row: fdb(3) }])
    expect(table.nextRetry(), 'nothing to wake for').to.equal(undefined)
    expect(takeAll()).to.deep.equal([{ verb: 'add', row: fdb(2, '192.0.2.99'), replace: true }])
  })

  it('owes again what somebody took away or changed, and not what somebody put as wanted', () => {
    table.want(fdb(2))
    takeAll()
    table.missed(fdb(2).mac)
    expect(takeAll()).to.deep.equal([{ verb: 'add', row: fdb(2) }])
    table.saw(fdb(2, '192.0.2.66'))
    expect(takeAll()).to.deep.equal([{ verb: 'add', row: fdb(2), replace: true }])
    table.missed(fdb(2).mac)
    table.saw(fdb(2))
    expect(takeAll()).to.deep.equal([])
  })

  it('takes away what somebody else puts beside ours', () => {
    table.saw(fdb(9))
    expect(takeAll()).to.deep.equal([{ verb: 'remove', row: fdb(9) }])
  })

  it('changes its mind before anything is written', () => {
    table.want(fdb(2))
    table.unwant(fdb(2).mac)
    expect(takeAll()).to.deep.equal([])
    table.dumped([fdb(3)])
    table.want(fdb(3))
    table.unwant(fdb(3).mac)
    table.want(fdb(3))
    expect(takeAll()).to.deep.equal([])
  })

  describe('while a dump is under way', () => {
    const elsewhere = fdb(2, '192.0.2.66')

    it('believes its own write more than a dump that has seen the row before', () => {
      table.dumped([fdb(2)])
      table.want(fdb(2))
      table.dumping()
      table.want(elsewhere)
      takeAll()
      table.want(fdb(2))
      table.dumped([fdb(2)])
      expect(takeAll()).to.deep.equal([{ verb: 'add', row: fdb(2), replace: true }])
    })

    it('takes away what it wrote after the dump had passed', () => {
      table.dumping()
      table.want(fdb(2))
      takeAll()
      table.unwant(fdb(2).mac)
      table.dumped([])
      expect(takeAll()).to.deep.equal([{ verb: 'remove', row: fdb(2) }])
    })

    it('writes a row once more that somebody changed, whatever the dump says', () => {
      table.want(fdb(2))
      takeAll()
      table.dumping()
      table.saw(elsewhere)
      table.dumped([fdb(2)])
      expect(takeAll()).to.deep.equal([{ verb: 'add', row: fdb(2), replace: true }])
      table.dumping()
      table.missed(fdb(2).mac)
      table.dumped([fdb(2)])
      expect(takeAll()).to.deep.equal([{ verb: 'add', row: fdb(2), replace: true }])
    })

    it('believes the dump about a write that was refused', () => {
      table.want(fdb(2))
      table.dumping()
      const [op] = takeAll()
      if (op) table.refused(op, busy, at(0))
      table.dumped([fdb(2)])
      expect(table.pending).to.equal(0)
    })

    it('writes nothing again that it wrote itself', () => {
      table.want(fdb(2))
      table.dumping()
      takeAll()
      table.dumped([])
      expect(takeAll()).to.deep.equal([])
    })
  })

  it('gives no more than the limit', () => {
    for (const n of [2, 3, 4]) table.want(fdb(n))
    expect(table.takeAdds(at(0), 2)).to.have.lengthOf(2)
    expect(table.pending).to.equal(1)
    expect(table.takeAdds(at(0), 2)).to.have.lengthOf(1)
  })

  describe('a refused row', () => {
    const refuseAt = (now: number, fault = busy) => {
      const [op] = takeAll(at(now))
      if (!op) throw new Error('nothing was owed')
      table.refused(op, fault, at(now))
    }

    it('is tried again after 100 ms, then twice as long each time up to 30 s, while the reason is transient', () => {
      table.want(fdb(2))
      const waits: number[] = []
      let now = 1000
      for (let i = 0; i < 11; i++) {
        refuseAt(now)
        const next = table.nextRetry() ?? 0
        expect(takeAll(at(next - 1))).to.deep.equal([])
        waits.push(next - now)
        now = next
      }
      expect(waits).to.deep.equal([100, 200, 400, 800, 1600, 3200, 6400, 12_800, 25_600, 30_000, 30_000])
      expect(table.failures.get(fdb(2).mac)).to.deep.include({ since: at(1000), attempts: 11 })
    })

    it('is tried again every minute for any other reason', () => {
      table.want(fdb(2))
      refuseAt(0, refused)
      expect(table.nextRetry()).to.equal(60_000)
    })

    it('delays nobody else', () => {
      table.want(fdb(2))
      refuseAt(0, refused)
      table.want(fdb(3))
      expect(takeAll(at(1))).to.deep.equal([{ verb: 'add', row: fdb(3) }])
    })

    it('is no failure any more once it stands, by whatever hand, or nobody wants it', () => {
      table.want(fdb(2))
      refuseAt(0)
      table.saw(fdb(2))
      expect(table.failures).to.have.property('size', 0)
      table.want(fdb(3))
      refuseAt(0)
      table.unwant(fdb(3).mac)
      expect(table.failures).to.have.property('size', 0)
      expect(table.nextRetry()).to.equal(undefined)
    })

    it('is tried at once when another is wanted in its place', () => {
      table.want(fdb(2))
      refuseAt(0, refused)
      table.want(fdb(2, '192.0.2.99'))
      expect(takeAll(at(1))).to.deep.equal([{ verb: 'add', row: fdb(2, '192.0.2.99') }])
    })

    it('does not delay the row that is wanted by the time of the refusal', () => {
      table.want(fdb(2))
      const [op] = takeAll()
      table.want(fdb(2, '192.0.2.99'))
      if (op) table.refused(op, refused, at(0))
      expect(takeAll(at(1))).to.deep.equal([{ verb: 'add', row: fdb(2, '192.0.2.99') }])
    })

    it('is tried at once when its reason may have gone, and stays on record', () => {
      table.want(fdb(2))
      refuseAt(10, refused)
      table.retryNow()
      expect(table.failures.get(fdb(2).mac)?.since).to.equal(10)
      expect(takeAll(at(11))).to.deep.equal([{ verb: 'add', row: fdb(2) }])
    })

    it('is tried at once when something else goes from its place', () => {
      table.want(fdb(2))
      refuseAt(0, refused)
      table.missed(fdb(2).mac)
      expect(takeAll(at(1))).to.deep.equal([{ verb: 'add', row: fdb(2) }])
    })

    it('is no failure any more when a later try has been answered without refusal', () => {
      table.want(fdb(2))
      refuseAt(0)
      takeAll(at(100))
      expect(table.failures.size, 'not before the kernel has answered').to.equal(1)
      table.answered(fdb(2).mac)
      expect(table.failures.size).to.equal(0)
    })

    it('that should go is believed to stand, and is tried again', () => {
      table.dumped([fdb(2)])
      refuseAt(0)
      expect(table.actual.has(fdb(2).mac)).to.equal(true)
      expect(takeAll(at(99))).to.deep.equal([])
      expect(takeAll(at(100))).to.deep.equal([{ verb: 'remove', row: fdb(2) }])
    })

    it('keeps waiting when a dump says what is known', () => {
      table.want(fdb(2))
      refuseAt(0)
      table.dumped([])
      expect(takeAll(at(99))).to.deep.equal([])
      expect(takeAll(at(100))).to.have.lengthOf(1)
    })
  })
})
