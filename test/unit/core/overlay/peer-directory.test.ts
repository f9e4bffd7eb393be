import { expect } from 'chai'
import type { PeerChange } from '../../../../src/core/overlay/peer.ts'
import { PeerDirectory } from '../../../../src/core/overlay/peer-directory.ts'
import type { RecordEvent, StoredRecord } from '../../../../src/core/overlay/record.ts'
import { config, own, ownLease, recordOf, valueOf } from './fixtures.ts'

const snapshot = (...records: StoredRecord[]): RecordEvent => ({ kind: 'snapshot', records })
const put = (record: StoredRecord): RecordEvent => ({ kind: 'changes', changes: [{ kind: 'put', record }] })
const del = (key: string): RecordEvent => ({ kind: 'changes', changes: [{ kind: 'delete', key }] })

const started = (...records: StoredRecord[]): PeerDirectory => {
  const directory = new PeerDirectory()
  directory.setOwn(own())
  directory.apply(snapshot(...records))
  return directory
}
const told = (changes: readonly PeerChange[]): string[] =>
  changes.map(({ key, before, after, reason }) => {
    const verb = after ? (before ? 'changed' : 'new') : (reason ?? 'no reason')
    return `${verb} ${key}`
  })
const keys = (directory: PeerDirectory): string[] => [...directory.peers().keys()].sort()
const codes = (directory: PeerDirectory): Record<string, string> =>
  Object.fromEntries([...directory.rejections()].map(([key, { code }]) => [key, code]))

describe('PeerDirectory', () => {
  it('follows a snapshot, puts and deletes', () => {
    const directory = new PeerDirectory()
    expect(directory.hasSnapshot).to.equal(false)
    directory.setOwn(own())
    expect(told(directory.apply(snapshot(recordOf(2), recordOf(3))))).to.have.members([
      'new 10.5.2.0-24',
      'new 10.5.3.0-24',
    ])
    expect(directory.hasSnapshot).to.equal(true)
    expect(told(directory.apply(put(recordOf(4))))).to.deep.equal(['new 10.5.4.0-24'])
    const moved = recordOf(3, { value: valueOf(33), modRevision: 200 })
    expect(told(directory.apply(put(moved)))).to.deep.equal(['changed 10.5.3.0-24'])
    expect(told(directory.apply(del('10.5.2.0-24')))).to.deep.equal(['deleted 10.5.2.0-24'])
    expect(keys(directory)).to.deep.equal(['10.5.3.0-24', '10.5.4.0-24'])
  })

  it('does not call it a change when flannel writes the same again', () => {
    const directory = started(recordOf(2))
    expect(directory.apply(put(recordOf(2, { modRevision: 900, leaseId: '77' })))).to.deep.equal([])
    expect(directory.peers().get('10.5.2.0-24')?.modRevision).to.equal(900)
  })

  it('keeps records until it knows who we are', () => {
    const directory = new PeerDirectory()
    expect(directory.apply(snapshot(recordOf(2)))).to.deep.equal([])
    expect(told(directory.setOwn(own()))).to.deep.equal(['new 10.5.2.0-24'])
  })

  it('tells a departure that was announced from one that was not', () => {
    const directory = started(recordOf(2), recordOf(3), recordOf(4), recordOf(5))
    const leaving = recordOf(2, { value: valueOf(2, { Leaving: true }), modRevision: 200 })
    expect(told(directory.apply(put(leaving)))).to.deep.equal(['changed 10.5.2.0-24'])
    expect(told(directory.apply(del('10.5.2.0-24')))).to.deep.equal(['announced 10.5.2.0-24'])
    expect(told(directory.apply(snapshot(recordOf(4), recordOf(5))))).to.deep.equal(['vanished 10.5.3.0-24'])
    const both: RecordEvent = {
      kind: 'changes',
      changes: [
        { kind: 'put', record: recordOf(4, { value: valueOf(4, { Leaving: true }) }) },
        { kind: 'delete', key: '10.5.4.0-24' },
      ],
    }
    expect(told(directory.apply(both))).to.deep.equal(['announced 10.5.4.0-24'])
  })

  it('sees a changed MAC and address in a new snapshot, which flannel misses', () => {
    const directory = started(recordOf(2))
    const changes = directory.apply(
      snapshot(recordOf(2, { value: valueOf(22, { Node: 'node-2' }), modRevision: 200 })),
    )
    expect(told(changes)).to.deep.equal(['changed 10.5.2.0-24'])
  })

  describe('when a record turns bad', () => {
    const bad = recordOf(2, { value: 'garbage', modRevision: 200 })

    it('keeps the last good peer and says so', () => {
      const directory = started(recordOf(2), recordOf(3))
      expect(directory.apply(put(bad))).to.deep.equal([])
      expect(keys(directory)).to.deep.equal(['10.5.2.0-24', '10.5.3.0-24'])
      expect(codes(directory)).to.deep.equal({ '10.5.2.0-24': 'malformed-value' })
      expect([...directory.rejectionCounts()]).to.deep.equal([['malformed-value', 1]])
    })

    it('keeps it through a new snapshot and a changed configuration', () => {
      const directory = started(recordOf(2))
      directory.apply(put(bad))
      expect(directory.apply(snapshot(bad))).to.deep.equal([])
      expect(directory.setOwn(own({ config: config({ SubnetMax: '10.5.200.0' }) }))).to.deep.equal([])
      expect(keys(directory)).to.deep.equal(['10.5.2.0-24'])
    })

    it('lets go of it when the record is deleted', () => {
      const directory = started(recordOf(2))
      directory.apply(put(bad))
      expect(told(directory.apply(del('10.5.2.0-24')))).to.deep.equal(['deleted 10.5.2.0-24'])
      expect(codes(directory)).to.deep.equal({})
    })

    it('forgets the complaint when it is good again', () => {
      const directory = started(recordOf(2))
      directory.apply(put(bad))
      expect(directory.apply(put(recordOf(2, { modRevision: 300 })))).to.deep.equal([])
      expect(codes(directory)).to.deep.equal({})
    })

    it('does not take it for a peer if it never was good', () => {
      const directory = started(bad, recordOf(3))
      expect(keys(directory)).to.deep.equal(['10.5.3.0-24'])
    })
  })

  it('takes a change of backend for a departure', () => {
    const directory = started(recordOf(2))
    const other = recordOf(2, { value: '{"PublicIP":"192.0.2.2","BackendType":"host-gw"}', modRevision: 200 })
    expect(told(directory.apply(put(other)))).to.deep.equal(['deleted 10.5.2.0-24'])
    expect(codes(directory)).to.deep.equal({ '10.5.2.0-24': 'other-backend' })
  })

  describe('when two records claim the same', () => {
    const thief = (more: Readonly<Record<string, unknown>>): StoredRecord =>
      recordOf(9, { value: valueOf(9, more), createRevision: 500, modRevision: 500 })

    for (const [what, more] of [
      ['MAC', { BackendData: { VNI: 1, VtepMAC: '02:00:00:00:00:02' } }],
      ['public address', { PublicIP: '192.0.2.2' }],
    ] as const)
      it(`leaves the ${what} to the older host and names it`, () => {
        const directory = started(recordOf(2))
        expect(directory.apply(put(thief(more)))).to.deep.equal([])
        const rejection = directory.rejections().get('10.5.9.0-24')
        expect(rejection?.code).to.equal('outranked')
        expect(rejection?.rule).to.match(new RegExp(`${what} .* belongs to 10\\.5\\.2\\.0-24$`))
      })

    it('lets the loser in when the winner goes', () => {
      const directory = started(recordOf(2), thief({ PublicIP: '192.0.2.2' }))
      expect(told(directory.apply(del('10.5.2.0-24')))).to.deep.equal([
        'deleted 10.5.2.0-24',
        'new 10.5.9.0-24',
      ])
      expect(codes(directory)).to.deep.equal({})
    })

    it('lets the loser in when the winner changes', () => {
      const directory = started(recordOf(2), thief({ PublicIP: '192.0.2.2' }))
      const moved = recordOf(2, { value: valueOf(2, { PublicIP: '192.0.2.22' }), modRevision: 600 })
      expect(told(directory.apply(put(moved)))).to.have.members(['changed 10.5.2.0-24', 'new 10.5.9.0-24'])
    })

    it('takes the newest record of one host', () => {
      const directory = started(recordOf(2))
      const renumbered = recordOf(7, { value: valueOf(2), createRevision: 500, modRevision: 500 })
      expect(told(directory.apply(put(renumbered)))).to.deep.equal([
        'outranked 10.5.2.0-24',
        'new 10.5.7.0-24',
      ])
      expect(codes(directory)).to.deep.equal({ '10.5.2.0-24': 'outranked' })
    })

    it('takes flannel’s newest record of one address', () => {
      const flannel = { Node: undefined }
      const directory = started(recordOf(2, { value: valueOf(2, flannel) }))
      const renumbered = recordOf(7, { value: valueOf(2, flannel), createRevision: 500, modRevision: 500 })
      expect(told(directory.apply(put(renumbered)))).to.deep.equal([
        'outranked 10.5.2.0-24',
        'new 10.5.7.0-24',
      ])
    })
  })

  describe('and our own records', () => {
    const mine = recordOf(1, { value: valueOf(1, { Node: 'me' }) })

    it('lists them and takes none for a peer', () => {
      const directory = started(mine, recordOf(2))
      expect(directory.ownRecords()).to.deep.equal([mine])
      expect(keys(directory)).to.deep.equal(['10.5.2.0-24'])
      directory.apply(del(mine.key))
      expect(directory.ownRecords()).to.deep.equal([])
    })

    it('lets go of a peer at once that stands where we are', () => {
      const directory = new PeerDirectory()
      directory.setOwn(own({ lease: undefined }))
      directory.apply(snapshot(recordOf(3, { key: ownLease.key })))
      expect(told(directory.setOwn(own()))).to.deep.equal(['outranked 10.5.1.0-24'])
      expect(codes(directory)).to.deep.equal({ '10.5.1.0-24': 'own-subnet' })
    })
  })

  it('is not slowed down by ten thousand claims on one address', () => {
    const many = Array.from({ length: 10_000 }, (_, i) =>
      recordOf(2, {
        key: `10.${String(64 + Math.floor(i / 256))}.${String(i % 256)}.0-24`,
        value: valueOf(2, { Node: undefined }),
        createRevision: i + 1,
        modRevision: i + 1,
      }),
    )
    const directory = new PeerDirectory()
    const wide = own({ config: config({ Network: '10.64.0.0/10' }), lease: undefined })
    directory.setOwn(wide)
    directory.apply(snapshot(...many))
    directory.setOwn(wide)
    directory.apply(snapshot(...many.slice(1)))
    expect(directory.peers().size).to.equal(1)
    expect(directory.rejections().size).to.equal(9_998)
  })
})
