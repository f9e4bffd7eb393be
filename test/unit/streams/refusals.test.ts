import { expect } from 'chai'
import { Fault, type FaultCode } from '../../../src/core/fault.ts'
import type { Op } from '../../../src/core/kernel/rows.ts'
import { refusalTeller, type RefusalTeller } from '../../../src/streams/refusals.ts'
import { fdb, host, neighbour } from '../core/kernel/fixtures.ts'

const add = (row: Op['row']): Op => ({ verb: 'add', row })

describe('refusalTeller', () => {
  let told: string[]
  let refusals: RefusalTeller
  const ignore = () => undefined
  beforeEach(() => {
    told = []
    const warn = (_: string, fields: object = {}) => told.push(Object.values(fields).slice(0, 2).join(': '))
    refusals = refusalTeller({ debugs: false, debug: ignore, info: ignore, warn, error: ignore })
  })
  const refused = (code: FaultCode, ...ops: readonly Op[]) => {
    refusals.tell(
      { kind: 'wrote', ops, refusals: ops.map((op) => ({ op, fault: Fault.of(code) })) },
      'tweed.1',
    )
  }
  const wrote = (...ops: readonly Op[]) => {
    refusals.tell({ kind: 'wrote', ops, refusals: [] }, 'tweed.1')
  }
  const inWords = 'bridge fdb replace 02:00:00:00:00:02 dev tweed.1 dst 192.0.2.2 self permanent'

  it('tells a refusal once, however often the row is tried', () => {
    for (let i = 0; i < 3; i++) refused('kernel-refused', add(fdb(2)))
    expect(told).to.deep.equal([`${inWords}: kernel-refused`])
  })

  it('tells it of each row, and of another row in the same place', () => {
    refused('kernel-refused', ...host(2).map(add))
    refused('kernel-refused', add(neighbour(2, '02:00:00:00:00:99')))
    expect(told).to.have.lengthOf(4)
  })

  it('tells another reason', () => {
    refused('kernel-busy', add(fdb(2)))
    refused('kernel-refused', add(fdb(2)))
    expect(told).to.deep.equal([`${inWords}: kernel-busy`, `${inWords}: kernel-refused`])
  })

  it('tells it again after the row has been written, or when nothing fails any more', () => {
    refused('kernel-refused', add(fdb(2)))
    wrote(add(fdb(3)), add(fdb(2)))
    refused('kernel-refused', add(fdb(2)))
    expect(told).to.have.lengthOf(2)
    refusals.forget()
    refused('kernel-refused', add(fdb(2)))
    expect(told).to.have.lengthOf(3)
  })
})
