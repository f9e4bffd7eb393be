import type { Forwarding } from '../forwarding.ts'
import { encodeRecord, type StoredRecord } from './record.ts'
import { legsOf, type Peer } from './peer.ts'

/**
 * What the peer file keeps: every record as etcd had it, or as it was before it turned bad, and the peers that are held
 * although etcd has no record of them any more, so that a restart neither cuts anybody off nor shortens a hold.
 */
export const recordsToKeep = ({
  directory,
  removal,
}: Pick<Forwarding, 'directory' | 'removal'>): readonly StoredRecord[] => {
  const records = directory.recordsToRecall()
  if (removal.held().size === 0) return records
  const known = new Set(records.map((record) => record.key))
  const held = [...removal.held().values()].filter(({ peer }) => !known.has(peer.key))
  return [...records, ...held.map(({ peer }) => recordOf(peer))]
}

/** Nothing new to keep. A record that is the same object is the same, which is almost all of them. */
export const sameRecords = (a: readonly StoredRecord[], b: readonly StoredRecord[]): boolean =>
  a.length === b.length && a.every((record, i) => record === b[i] || sameRecord(record, b[i]))

const sameRecord = (a: StoredRecord, b: StoredRecord | undefined): boolean =>
  a.key === b?.key &&
  a.value === b.value &&
  a.createRevision === b.createRevision &&
  a.modRevision === b.modRevision &&
  a.leaseId === b.leaseId

const recordOf = (peer: Peer): StoredRecord => ({
  key: peer.key,
  value: encodeRecord({
    publicIp: peer.ipv4?.publicIp,
    publicIp6: peer.ipv6?.publicIp,
    backendType: legsOf(peer).some(({ vtepMac }) => vtepMac !== undefined) ? 'vxlan' : 'host-gw',
    vni: undefined,
    vtepMac: peer.ipv4?.vtepMac,
    vtepMac6: peer.ipv6?.vtepMac,
    node: peer.node,
    leaving: peer.leaving,
  }),
  createRevision: peer.modRevision,
  modRevision: peer.modRevision,
  leaseId: '0',
})
