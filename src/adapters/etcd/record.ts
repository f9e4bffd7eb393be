import type { IEvent, IKeyValue } from 'etcd3'
import type { StoredRecord } from '../../core/overlay/record.ts'
import type { RecordChange, RecordEvent, StoredConfig } from '../../ports/lease-store.ts'
import type { RangeEvent } from './watch.ts'

/** Where things are below the prefix that the user chose (docs/etcd.md). */
export interface Keys {
  readonly config: string
  /** With the slash at the end: flannel takes every key that begins with `<prefix>/subnets` for a record. */
  readonly subnets: string
}

export const keysBelow = (prefix: string): Keys => {
  const trimmed = prefix.replace(/\/+$/, '')
  return { config: `${trimmed}/config`, subnets: `${trimmed}/subnets/` }
}

/** Of an IPv6-only network: flannel can't read its keys, and must not see them. */
export const keysOfIpv6Only = (prefix: string): Keys => {
  const { config } = keysBelow(prefix)
  return { config, subnets: `${prefix.replace(/\/+$/, '')}/ipv6/subnets/` }
}

/** `skip` bytes of the key are the prefix. Text is copied out, or each record would hold its whole response in memory. */
export const storedRecord = (kv: IKeyValue, skip: number): StoredRecord => ({
  key: kv.key.toString('utf8', skip),
  value: kv.value.toString('utf8'),
  createRevision: Number(kv.create_revision),
  modRevision: Number(kv.mod_revision),
  leaseId: kv.lease,
})

export const storedConfig = (kv: IKeyValue | undefined): StoredConfig | undefined =>
  kv && { value: kv.value.toString('utf8'), modRevision: Number(kv.mod_revision) }

export const recordEvent = (event: RangeEvent, skip: number): RecordEvent =>
  event.kind === 'snapshot'
    ? { kind: 'snapshot', records: event.kvs.map((kv) => storedRecord(kv, skip)), audit: event.audit }
    : { kind: 'changes', changes: event.events.map((change) => recordChange(change, skip)) }

const recordChange = ({ type, kv }: IEvent, skip: number): RecordChange =>
  type === 'Put'
    ? { kind: 'put', record: storedRecord(kv, skip) }
    : { kind: 'delete', key: kv.key.toString('utf8', skip) }

/** Of several changes to the one key only the last counts. */
export const configEvent = (event: RangeEvent): StoredConfig | undefined => {
  if (event.kind === 'snapshot') return storedConfig(event.kvs[0])
  const last = event.events.at(-1)
  return last?.type === 'Put' ? storedConfig(last.kv) : undefined
}
