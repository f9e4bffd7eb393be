import { expect } from 'chai'
import fc from 'fast-check'
import { admit } from '../../../src/core/overlay/admission.ts'
import { arbitrate, claimsOf, type Contender } from '../../../src/core/overlay/contention.ts'
import type { Peer, PeerChange } from '../../../src/core/overlay/peer.ts'
import { PeerDirectory } from '../../../src/core/overlay/peer-directory.ts'
import type { RecordChange, StoredRecord } from '../../../src/core/overlay/record.ts'
import { own, valueOf } from '../../unit/core/overlay/fixtures.ts'

// A small world, so that hosts collide in every way: subnet keys, addresses, MACs, nodes and ages.
const small = fc.integer({ min: 2, max: 6 })
const stored: fc.Arbitrary<StoredRecord> = fc
  .record({ subnet: small, ip: small, mac: small, node: fc.option(small), age: small, leaving: fc.boolean() })
  .map(({ subnet, ip, mac, node, age, leaving }) => ({
    key: `10.5.${String(subnet)}.0-24`,
    value: valueOf(ip, {
      BackendData: { VNI: 1, VtepMAC: `02:00:00:00:00:0${String(mac)}` },
      Node: node === null ? undefined : `node-${String(node)}`,
      Leaving: leaving || undefined,
    }),
    createRevision: age,
    modRevision: age + mac,
    leaseId: '1',
  }))
const changes: fc.Arbitrary<RecordChange> = fc.oneof(
  { weight: 3, arbitrary: stored.map((record) => ({ kind: 'put' as const, record })) },
  { weight: 1, arbitrary: small.map((n) => ({ kind: 'delete' as const, key: `10.5.${String(n)}.0-24` })) },
)

const finalSet = (history: readonly RecordChange[]): readonly StoredRecord[] => {
  const set = new Map<string, StoredRecord>()
  for (const change of history)
    if (change.kind === 'put') set.set(change.record.key, change.record)
    else set.delete(change.key)
  return [...set.values()]
}
const table = (directory: PeerDirectory): unknown => ({
  peers: new Map(directory.peers()),
  rejections: directory.rejections(),
})
const fromSnapshot = (records: readonly StoredRecord[]): PeerDirectory => {
  const directory = new PeerDirectory()
  directory.setOwn(own())
  directory.apply({ kind: 'snapshot', records })
  return directory
}

describe('PeerDirectory', () => {
  it('holds the same table however the records came together', () => {
    const batches = fc.array(fc.array(changes, { maxLength: 4 }), { maxLength: 12 })
    fc.assert(
      fc.property(batches, fc.nat(), fc.boolean(), (history, when, resync) => {
        const directory = new PeerDirectory()
        history.forEach((batch, i) => {
          if (i === when % (history.length + 1)) directory.setOwn(own())
          directory.apply({ kind: 'changes', changes: batch })
        })
        directory.setOwn(own())
        const records = finalSet(history.flat())
        if (resync) directory.apply({ kind: 'snapshot', records: [...records].reverse() })
        expect(table(directory)).to.deep.equal(table(fromSnapshot(records)))
      }),
      { numRuns: 1000 },
    )
  })

  it('does not mind in which order a snapshot lists its records', () => {
    const sets = fc.uniqueArray(stored, { selector: ({ key }) => key, maxLength: 5 })
    const shuffled = sets.chain((set) =>
      fc.tuple(fc.constant(set), fc.shuffledSubarray(set, { minLength: set.length, maxLength: set.length })),
    )
    fc.assert(
      fc.property(shuffled, ([set, other]) => {
        expect(table(fromSnapshot(other))).to.deep.equal(table(fromSnapshot(set)))
      }),
    )
  })

  it('tells every change: who follows them has the same peers', () => {
    fc.assert(
      fc.property(fc.array(fc.array(changes, { maxLength: 4 }), { maxLength: 12 }), (history) => {
        const directory = new PeerDirectory()
        directory.setOwn(own())
        const followed = new Map<string, Peer>()
        const follow = ({ key, before, after, reason }: PeerChange): void => {
          expect(before && withoutRevision(before)).to.deep.equal(
            followed.has(key) ? withoutRevision(followed.get(key)) : undefined,
          )
          expect(reason === undefined).to.equal(after !== undefined)
          if (after) followed.set(key, after)
          else followed.delete(key)
        }
        for (const batch of history) directory.apply({ kind: 'changes', changes: batch }).forEach(follow)
        expect([...followed].map(([key, peer]) => [key, withoutRevision(peer)])).to.have.deep.members(
          [...directory.peers()].map(([key, peer]) => [key, withoutRevision(peer)]),
        )
      }),
    )
  })

  it('never lets two peers claim the same', () => {
    fc.assert(
      fc.property(fc.array(stored, { maxLength: 20 }), (records) => {
        const directory = fromSnapshot(finalSet(records.map((record) => ({ kind: 'put', record }))))
        const claims = [...directory.peers().values()].flatMap(claimsOf)
        expect(new Set(claims).size).to.equal(claims.length)
      }),
    )
  })
})

const withoutRevision = (peer: Peer | undefined): object => ({ ...peer, modRevision: 0 })

describe('arbitrate', () => {
  const contenders = fc.uniqueArray(stored, { selector: ({ key }) => key, maxLength: 5 }).map((set) =>
    set.flatMap((record): Contender[] => {
      const admission = admit(record, own())
      return admission.kind === 'admitted'
        ? [{ peer: admission.peer, createRevision: record.createRevision }]
        : []
    }),
  )

  it('names for each defeat a claim that the two share', () => {
    fc.assert(
      fc.property(contenders, (all) => {
        const peers = new Map(all.map(({ peer }) => [peer.key, peer]))
        for (const [key, { by, claim }] of arbitrate(all))
          for (const party of [key, by]) {
            const peer = peers.get(party)
            expect(peer && claimsOf(peer)).to.include(claim)
          }
      }),
    )
  })

  it('always lets somebody win', () => {
    fc.assert(
      fc.property(contenders, (all) => {
        expect(arbitrate(all).size).to.be.at.most(Math.max(0, all.length - 1))
      }),
    )
  })
})
