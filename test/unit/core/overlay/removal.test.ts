import { expect } from 'chai'
import { admit } from '../../../../src/core/overlay/admission.ts'
import type { Peer, PeerChange } from '../../../../src/core/overlay/peer.ts'
import { RemovalPolicy } from '../../../../src/core/overlay/removal.ts'
import { Millis } from '../../../../src/core/time.ts'
import { own, recordOf, valueOf } from './fixtures.ts'

const peer = (n: number, more: Readonly<Record<string, unknown>> = {}): Peer => {
  const admission = admit(recordOf(n, { value: valueOf(n, more) }), own())
  if (admission.kind !== 'admitted') throw new Error('the fixture is wrong')
  return admission.peer
}
const come = (after: Peer): PeerChange => ({ key: after.key, before: undefined, after })
const go = (before: Peer, reason: PeerChange['reason'] = 'deleted'): PeerChange => ({
  key: before.key,
  before,
  after: undefined,
  reason,
})
const at = Millis.seconds
const started = (...peers: Peer[]): RemovalPolicy => {
  const policy = new RemovalPolicy()
  policy.admit(peers.map(come), at(0))
  return policy
}
const many = (from: number, count: number): Peer[] => Array.from({ length: count }, (_, i) => peer(from + i))

describe('RemovalPolicy', () => {
  it('lets peers in at once', () => {
    expect(new RemovalPolicy().admit([come(peer(2))], at(0))).to.deep.equal([come(peer(2))])
  })

  for (const reason of ['deleted', 'vanished'] as const)
    it(`holds a peer that is ${reason}, then lets it go`, () => {
      const policy = started(peer(2), peer(3))
      expect(policy.admit([go(peer(2), reason)], at(10))).to.deep.equal([])
      expect([...policy.held().values()]).to.have.lengthOf(1)
      expect(policy.held().get(peer(2).key)).to.include({ until: at(70), why: reason })
      expect(policy.nextDeadline()).to.equal(at(70))
      expect(policy.expire(Millis.of(69_999))).to.deep.equal([])
      expect(policy.expire(at(70))).to.deep.equal([go(peer(2), reason)])
      expect(policy.nextDeadline()).to.equal(undefined)
    })

  for (const reason of ['announced', 'outranked'] as const)
    it(`lets a peer go at once that is ${reason}`, () => {
      const policy = started(peer(2))
      expect(policy.admit([go(peer(2), reason)], at(10))).to.deep.equal([go(peer(2), reason)])
      expect(policy.held().size).to.equal(0)
    })

  it('says nothing when a held peer comes back as it was', () => {
    const policy = started(peer(2))
    policy.admit([go(peer(2))], at(10))
    expect(policy.admit([come({ ...peer(2), modRevision: 900 })], at(20))).to.deep.equal([])
    expect(policy.expire(at(1000))).to.deep.equal([])
  })

  it('says what changed when a held peer comes back changed', () => {
    const policy = started(peer(2))
    policy.admit([go(peer(2))], at(10))
    const moved = peer(2, { PublicIP: '192.0.2.99' })
    expect(policy.admit([come(moved)], at(20))).to.deep.equal([
      { key: moved.key, before: peer(2), after: moved },
    ])
    expect(policy.held().size).to.equal(0)
  })

  for (const [what, heir] of [
    ['public address', { PublicIP: '192.0.2.2' }],
    ['MAC', { BackendData: { VNI: 1, VtepMAC: '02:00:00:00:00:02' } }],
    ['node', { Node: 'node-2' }],
  ] as const) {
    it(`lets a held peer go before somebody else comes with its ${what}`, () => {
      const policy = started(peer(2))
      policy.admit([go(peer(2))], at(10))
      expect(policy.admit([come(peer(9, heir))], at(20))).to.deep.equal([go(peer(2)), come(peer(9, heir))])
      expect(policy.held().size).to.equal(0)
    })

    it(`does not hold a peer whose ${what} has gone over in the same batch, in either order`, () => {
      for (const batch of [
        [go(peer(2)), come(peer(9, heir))],
        [come(peer(9, heir)), go(peer(2))],
      ])
        expect(started(peer(2)).admit(batch, at(10))).to.deep.equal([go(peer(2)), come(peer(9, heir))])
    })
  }

  it('does not mind a MAC that its own peer has given up', () => {
    const policy = started(peer(2), peer(3))
    const moved = peer(3, { BackendData: { VNI: 1, VtepMAC: '02:00:00:00:00:33' } })
    policy.admit([{ key: moved.key, before: peer(3), after: moved }], at(5))
    const claimant = peer(4, { BackendData: { VNI: 1, VtepMAC: '02:00:00:00:00:03' } })
    policy.admit([come(claimant)], at(6))
    expect(policy.admit([go(moved)], at(10))).to.deep.equal([])
  })

  describe('when many vanish', () => {
    it('holds all of one batch for ten minutes', () => {
      const policy = started(...many(2, 30))
      expect(
        policy.admit(
          many(2, 11).map((p) => go(p, 'vanished')),
          at(10),
        ),
      ).to.deep.equal([])
      expect(new Set([...policy.held().values()].map(({ why }) => why))).to.deep.equal(new Set(['mass']))
      expect(policy.nextDeadline()).to.equal(at(610))
      expect(policy.expire(at(609))).to.deep.equal([])
      expect(policy.expire(at(610))).to.deep.equal(many(2, 11).map((p) => go(p, 'vanished')))
    })

    it('holds them when they go one after the other within a minute, and those that follow', () => {
      const policy = started(...many(2, 30))
      many(2, 11).forEach((p, i) => policy.admit([go(p)], at(10 + i)))
      expect(policy.held().get(peer(2).key)).to.include({ why: 'mass', until: at(610) })
      policy.admit([go(peer(20))], at(300))
      expect(policy.held().get(peer(20).key)).to.include({ why: 'mass', until: at(900) })
    })

    it('is not impressed by ten, nor by less than the share, nor by a slow trickle', () => {
      for (const [all, gone, seconds] of [
        [12, 10, 0],
        [50, 15, 0],
        [30, 15, 10],
      ] as const) {
        const policy = started(...many(2, all))
        many(2, gone).forEach((p, i) => policy.admit([go(p)], at(10 + i * seconds)))
        expect([...policy.held().values()].some(({ why }) => why === 'mass')).to.equal(false)
      }
    })

    it('lets them go all the same when their address has a new owner', () => {
      const policy = started(...many(2, 30))
      policy.admit(
        many(2, 20).map((p) => go(p)),
        at(10),
      )
      const heir = peer(99, { PublicIP: '192.0.2.5' })
      expect(policy.admit([come(heir)], at(20))).to.deep.equal([go(peer(5)), come(heir)])
    })

    it('releases them when they come back', () => {
      const policy = started(...many(2, 30))
      policy.admit(
        many(2, 20).map((p) => go(p)),
        at(10),
      )
      expect(policy.admit(many(2, 20).map(come), at(20))).to.deep.equal([])
      expect(policy.held().size).to.equal(0)
      policy.admit([go(peer(2))], at(700))
      expect(policy.held().get(peer(2).key)).to.include({ why: 'deleted', until: at(760) })
    })
  })

  it('holds nothing when told to', () => {
    const policy = new RemovalPolicy({ holdMs: Millis.of(0) })
    policy.admit([come(peer(2))], at(0))
    policy.admit([go(peer(2))], at(10))
    expect(policy.nextDeadline()).to.equal(at(10))
    expect(policy.expire(at(10))).to.deep.equal([go(peer(2))])
  })
})
