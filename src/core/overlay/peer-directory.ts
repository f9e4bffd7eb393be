import { admit } from './admission.ts'
import {
  arbitrate,
  type Claim,
  ClaimIndex,
  claimsOf,
  type Contender,
  type Defeat,
  printClaim,
} from './contention.ts'
import type { OwnContext } from './own.ts'
import { type Peer, type PeerChange, type Rejection, type RejectionCode, samePeer } from './peer.ts'
import type { RecordEvent, StoredRecord } from './record.ts'

type Reason = NonNullable<PeerChange['reason']>

/**
 * Who the peers are, out of all records that etcd holds. The table is a function of the set of records, with one
 * exception: a record that turns bad keeps its last good meaning until it is deleted or good again, since a
 * running host is not to be cut off by somebody's typing error.
 *
 * Mutable inside: it follows ten thousand records, and one change must cost no copy of them.
 */
export class PeerDirectory {
  readonly #stored = new Map<string, StoredRecord>()
  /** The last version of each record that was a peer's. */
  readonly #good = new Map<string, StoredRecord>()
  readonly #contenders = new ClaimIndex()
  readonly #peers = new Map<string, Peer>()
  readonly #refused = new Map<string, Rejection>()
  readonly #outranked = new Map<string, Rejection>()
  readonly #own = new Map<string, StoredRecord>()
  readonly #counts = new Map<RejectionCode, number>()
  #context: OwnContext | undefined
  #hasSnapshot = false

  /** Without knowing who we are nobody can be admitted: records wait until this has been called. */
  setOwn(own: OwnContext): readonly PeerChange[] {
    this.#context = own
    const batch = new Batch(this.#contenders)
    // It is our own doing that they are no peers any more: nothing to doubt, and their rows may be in our way.
    for (const record of this.#stored.values()) {
      const good = this.#good.get(record.key)
      this.#drop(record.key, 'outranked', batch)
      if (good && good !== record) this.#keep(good, own, batch)
      this.#judge(record, own, batch)
    }
    return this.#settle(batch)
  }

  apply(event: RecordEvent): readonly PeerChange[] {
    const batch = new Batch(this.#contenders)
    if (event.kind === 'snapshot') {
      this.#hasSnapshot = true
      const listed = new Set(event.records.map((record) => record.key))
      for (const key of [...this.#stored.keys()]) if (!listed.has(key)) this.#forget(key, 'vanished', batch)
      for (const record of event.records) this.#put(record, batch)
    } else
      for (const change of event.changes)
        if (change.kind === 'put') this.#put(change.record, batch)
        else this.#forget(change.key, 'deleted', batch)
    return this.#settle(batch)
  }

  /** By key; stays the same object and follows. */
  peers(): ReadonlyMap<string, Peer> {
    return this.#peers
  }

  /** By key; a record that turned bad is here although its last good version is among the peers. */
  rejections(): ReadonlyMap<string, Rejection> {
    return new Map([...this.#outranked, ...this.#refused])
  }

  /** How often a record was refused or beaten, ever, by reason. */
  rejectionCounts(): ReadonlyMap<RejectionCode, number> {
    return this.#counts
  }

  /** Records of this host that etcd holds. */
  ownRecords(): readonly StoredRecord[] {
    return [...this.#own.values()]
  }

  /** Every record as last seen. */
  records(): readonly StoredRecord[] {
    return [...this.#stored.values()]
  }

  /** What to apply as a snapshot after a restart: of a record that has turned bad its last good version. */
  recordsToRecall(): readonly StoredRecord[] {
    return [...this.#stored.values()].map((record) => this.#good.get(record.key) ?? record)
  }

  /** Number of {@link records}. */
  get size(): number {
    return this.#stored.size
  }

  get hasSnapshot(): boolean {
    return this.#hasSnapshot
  }

  #put(record: StoredRecord, batch: Batch): void {
    const known = this.#stored.get(record.key)
    if (known && sameVersion(known, record)) return // most of what a new snapshot holds
    this.#stored.set(record.key, record)
    this.#refused.delete(record.key)
    if (this.#context) this.#judge(record, this.#context, batch)
  }

  #judge(record: StoredRecord, own: OwnContext, batch: Batch): void {
    const { key } = record
    const admission = admit(record, own)
    this.#own.delete(key)
    if (admission.kind !== 'rejected') this.#refused.delete(key)
    switch (admission.kind) {
      case 'admitted':
        this.#good.set(key, record)
        batch.put({ peer: admission.peer, createRevision: record.createRevision })
        break
      case 'own':
        this.#drop(key, 'outranked', batch)
        this.#own.set(key, record)
        break
      case 'rejected':
        // A host that now runs another backend is gone for us; all else may be a mistake.
        if (admission.rejection.code === 'other-backend')
          this.#drop(key, this.#isLeaving(key) ? 'announced' : 'deleted', batch)
        this.#refuse(this.#refused, admission.rejection)
    }
  }

  /** The last good version of a record that has turned bad, under changed circumstances. */
  #keep(good: StoredRecord, own: OwnContext, batch: Batch): void {
    const admission = admit(good, own)
    if (admission.kind !== 'admitted') return
    this.#good.set(good.key, good)
    batch.put({ peer: admission.peer, createRevision: good.createRevision })
  }

  #refuse(rejections: Map<string, Rejection>, rejection: Rejection): void {
    if (rejections.get(rejection.key)?.rule === rejection.rule) return
    rejections.set(rejection.key, rejection)
    this.#counts.set(rejection.code, (this.#counts.get(rejection.code) ?? 0) + 1)
  }

  #forget(key: string, reason: Reason, batch: Batch): void {
    this.#drop(key, this.#isLeaving(key) ? 'announced' : reason, batch)
    this.#stored.delete(key)
    this.#own.delete(key)
    this.#refused.delete(key)
  }

  #isLeaving(key: string): boolean {
    return this.#contenders.get(key)?.peer.leaving === true
  }

  #drop(key: string, reason: Reason, batch: Batch): void {
    this.#good.delete(key)
    batch.delete(key, reason)
  }

  /** Arbitrates anew wherever the batch has touched something. */
  #settle(batch: Batch): readonly PeerChange[] {
    const { alone, contested } = this.#weigh(batch.touched)
    const affected = this.#contenders.component(contested)
    const defeats = arbitrate(affected)
    const gone: PeerChange[] = []
    const come: PeerChange[] = []
    for (const key of batch.touched) {
      if (this.#contenders.get(key)) continue
      this.#outranked.delete(key)
      const before = this.#peers.get(key)
      if (!before) continue
      this.#peers.delete(key)
      gone.push({ key, before, after: undefined, reason: batch.reasons.get(key) ?? 'deleted' })
    }
    for (const { peer } of [...alone, ...affected]) {
      const { key } = peer
      const before = this.#peers.get(key)
      const defeat = defeats.get(key)
      this.#noteDefeat(key, defeat)
      if (defeat) {
        this.#peers.delete(key)
        if (before) gone.push({ key, before, after: undefined, reason: 'outranked' })
      } else {
        this.#peers.set(key, peer)
        if (!before || !samePeer(before, peer)) come.push({ key, before, after: peer })
      }
    }
    return [...gone, ...come]
  }

  #weigh(keys: Iterable<string>): { alone: readonly Contender[]; contested: readonly string[] } {
    const alone: Contender[] = []
    const contested: string[] = []
    for (const key of keys) {
      const contender = this.#contenders.get(key)
      if (!contender) continue
      if (this.#contenders.isContested(contender)) contested.push(key)
      else alone.push(contender)
    }
    return { alone, contested }
  }

  #noteDefeat(key: string, defeat: Defeat | undefined): void {
    const rule = defeat && `${printClaim(defeat.claim)} belongs to ${defeat.by}`
    if (rule === undefined) this.#outranked.delete(key)
    else this.#refuse(this.#outranked, { key, code: 'outranked', rule })
  }
}

const sameVersion = (a: StoredRecord, b: StoredRecord): boolean =>
  a.modRevision === b.modRevision && a.createRevision === b.createRevision && a.value === b.value

/** Collects what one event touches, so that arbitration runs once for all of it. */
class Batch {
  readonly touched = new Set<string>()
  readonly reasons = new Map<string, Reason>()
  readonly #seen = new Set<Claim>()
  readonly #contenders: ClaimIndex

  constructor(contenders: ClaimIndex) {
    this.#contenders = contenders
  }

  put(contender: Contender): void {
    this.#touch(contender.peer.key)
    this.#contenders.put(contender)
  }

  delete(key: string, reason: Reason): void {
    this.#touch(key)
    this.reasons.set(key, reason)
    this.#contenders.delete(key)
  }

  /** Rivals of the old version are freed; rivals of the new one are found through it. */
  #touch(key: string): void {
    this.touched.add(key)
    const old = this.#contenders.get(key)
    for (const claim of old ? claimsOf(old.peer) : []) {
      if (this.#seen.has(claim)) continue // whoever claims it since then has been touched for that
      this.#seen.add(claim)
      for (const rival of this.#contenders.claimants(claim)) this.touched.add(rival)
    }
  }
}
