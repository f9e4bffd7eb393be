import { expect } from 'chai'
import fc from 'fast-check'
import { Fault } from '../../../src/core/fault.ts'
import { type Op, type Row, rowId, sameRow } from '../../../src/core/kernel/rows.ts'
import { Tables } from '../../../src/core/kernel/tables.ts'
import { Millis } from '../../../src/core/time.ts'
import { fdb, neighbour, route } from '../../unit/core/kernel/fixtures.ts'

/** The kernel as a map: it does what it is told unless it refuses. */
type Kernel = Map<string, Row>

const rows = fc
  .tuple(fc.integer({ min: 2, max: 6 }), fc.boolean(), fc.constantFrom('fdb', 'neighbour', 'route'))
  .map(([n, other, kind]): Row => {
    if (kind === 'fdb') return fdb(n, other ? '192.0.2.99' : undefined)
    if (kind === 'neighbour') return neighbour(n, other ? '02:00:00:00:00:99' : undefined)
    return route(n, other ? '10.5.99.0' : undefined)
  })

type Happening =
  | { readonly kind: 'want' | 'unwant' | 'put' | 'take' | 'put unheard' | 'take unheard'; readonly row: Row }
  | { readonly kind: 'dump' | 'retry now' }
  | {
      readonly kind: 'write'
      readonly limit: number
      readonly prune: boolean
      readonly refuse: readonly boolean[]
    }

const edits = ['want', 'want', 'unwant', 'put', 'take', 'put unheard', 'take unheard'] as const

const happenings = fc.array(
  fc.oneof(
    fc.tuple(fc.constantFrom(...edits), rows).map(([kind, row]): Happening => ({ kind, row })),
    fc.constantFrom<Happening>({ kind: 'dump' }, { kind: 'retry now' }),
    fc
      .tuple(fc.integer({ min: 1, max: 8 }), fc.boolean(), fc.array(fc.boolean(), { maxLength: 8 }))
      .map(([limit, prune, refuse]): Happening => ({ kind: 'write', limit, prune, refuse })),
  ),
  { maxLength: 60 },
)

const perform = (kernel: Kernel, { verb, row }: Op): void => {
  if (verb === 'add') kernel.set(rowId(row), row)
  else kernel.delete(rowId(row))
}

class Story {
  readonly tables = new Tables()
  readonly kernel: Kernel = new Map()
  readonly desired: Kernel = new Map()
  now = 0

  happen(event: Happening): void {
    const { tables, kernel, desired } = this
    this.now += 40
    switch (event.kind) {
      case 'want':
        desired.set(rowId(event.row), event.row)
        return tables.want(event.row)
      case 'unwant':
        desired.delete(rowId(event.row))
        return tables.unwant(event.row)
      case 'put':
      case 'put unheard':
        kernel.set(rowId(event.row), event.row)
        return event.kind === 'put' ? tables.saw(event.row) : undefined
      case 'take':
      case 'take unheard':
        kernel.delete(rowId(event.row))
        return event.kind === 'take' ? tables.missed(event.row) : undefined
      case 'dump':
        return tables.dumped(kernel.values())
      case 'retry now':
        return tables.retryNow()
      case 'write': {
        const ops = tables.take(Millis.of(this.now), event)
        expect(ops.length).to.be.at.most(event.limit)
        if (!event.prune) expect(ops.filter(({ verb }) => verb === 'remove')).to.deep.equal([])
        ops.forEach((op, n) => {
          const fault = Fault.of(n % 2 === 0 ? 'kernel-busy' : 'kernel-refused')
          if (event.refuse[n] === true) tables.refused(op, fault, Millis.of(this.now))
          else perform(kernel, op)
        })
      }
    }
  }

  /** Takes until nothing is owed, however long the retries wait. */
  finish(): void {
    for (let round = 0; this.tables.pending > 0; round++) {
      expect(round, 'rounds until nothing is owed').to.be.below(100)
      this.now += 60_000
      for (const op of this.tables.take(Millis.of(this.now), { limit: 3, prune: true }))
        perform(this.kernel, op)
    }
  }
}

const printed = (rows: Kernel): readonly string[] =>
  [...rows.values()].map((row) => JSON.stringify(row)).sort()

describe('Tables, whatever happens', () => {
  it('make the kernel as desired once it has been read and nothing is owed', () => {
    fc.assert(
      fc.property(happenings, (events) => {
        const story = new Story()
        for (const event of events) story.happen(event)
        story.happen({ kind: 'dump' })
        story.finish()
        expect(printed(story.kernel)).to.deep.equal(printed(story.desired))
      }),
      { numRuns: 1000 },
    )
  })

  it('need no dump while every edit is heard of', () => {
    fc.assert(
      fc.property(happenings, (events) => {
        const story = new Story()
        for (const event of events) if (!event.kind.endsWith('unheard')) story.happen(event)
        story.finish()
        expect(printed(story.kernel)).to.deep.equal(printed(story.desired))
      }),
      { numRuns: 1000 },
    )
  })

  it('write nothing where all is as desired', () => {
    fc.assert(
      fc.property(fc.array(rows), (wanted) => {
        const tables = new Tables()
        const kernel: Kernel = new Map()
        for (const row of wanted) {
          tables.want(row)
          kernel.set(rowId(row), row)
        }
        tables.dumped(kernel.values())
        expect(tables.take(Millis.of(0), { limit: Infinity, prune: true })).to.deep.equal([])
      }),
    )
  })

  it('never add a route before its neighbour, nor a neighbour before its FDB entry, in one datagram', () => {
    fc.assert(
      fc.property(happenings, (events) => {
        const story = new Story()
        for (const event of events) story.happen(event)
        const ops = story.tables.take(Millis.of(1e9), { limit: Infinity, prune: true })
        const ranks = ops.map(({ verb, row }) => {
          const rank = ['fdb', 'neighbour', 'route'].indexOf(row.kind)
          return verb === 'add' ? rank : 5 - rank
        })
        expect(ranks).to.deep.equal(ranks.toSorted((a, b) => a - b))
        expect(ops.filter((op, n) => ops.findIndex((o) => sameRow(o.row, op.row)) !== n)).to.deep.equal([])
      }),
    )
  })
})
