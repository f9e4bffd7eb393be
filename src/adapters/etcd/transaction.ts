import type { ICompare, IKeyValue, IRequestOp, ITxnResponse } from 'etcd3'
import { map, type Observable } from 'rxjs'
import type { Claim, ClaimResult } from '../../ports/lease-store.ts'
import type { EndpointPool } from './endpoint-pool.ts'
import { storedRecord, type Keys } from './record.ts'
import { needs, request$ } from './request.ts'

/**
 * Puts the record if its key and the configuration still have the revisions that the claim names.
 * A retry that meets its own earlier success, whose answer was lost, knows it by lease and value.
 */
export const claim$ = (pool: EndpointPool, keys: Keys, claim: Claim): Observable<ClaimResult> => {
  const key = Buffer.from(keys.subnets + claim.key)
  const config = Buffer.from(keys.config)
  const value = Buffer.from(claim.value)
  const guards = [unchanged(key, claim.modRevision)]
  if (claim.configRevision !== undefined) guards.push(unchanged(config, claim.configRevision))
  const transaction = {
    compare: guards,
    success: [{ request_put: { key, value, lease: claim.leaseId } }],
    failure: [get(key), get(config)],
  }
  return request$(pool, ({ requests }) => requests.kv.txn(transaction)).pipe(
    needs(writeOn(key)),
    map((response): ClaimResult => {
      if (response.succeeded) return { kind: 'claimed', modRevision: Number(response.header.revision) }
      const found = firstKv(response, 0)
      if (found && found.lease === claim.leaseId && found.value.equals(value))
        return { kind: 'claimed', modRevision: Number(found.mod_revision) }
      const configRevision = Number(firstKv(response, 1)?.mod_revision ?? 0)
      if (claim.configRevision !== undefined && claim.configRevision !== configRevision)
        return { kind: 'config-changed' }
      return { kind: 'taken', record: found && storedRecord(found, Buffer.byteLength(keys.subnets)) }
    }),
  )
}

/** Deletes the record unless somebody has written it since. */
export const release$ = (
  pool: EndpointPool,
  keys: Keys,
  record: { readonly key: string; readonly modRevision: number },
): Observable<void> => {
  const key = Buffer.from(keys.subnets + record.key)
  const transaction = {
    compare: [unchanged(key, record.modRevision)],
    success: [{ request_delete_range: { key } }],
    failure: [],
  }
  return request$(pool, ({ requests }) => requests.kv.txn(transaction)).pipe(
    needs(writeOn(key)),
    map(() => undefined),
  )
}

/** A retry that finds its own value in place has written it. */
export const putConfig$ = (
  pool: EndpointPool,
  keys: Keys,
  config: { readonly value: string; readonly modRevision: number | undefined },
): Observable<'written' | 'changed-meanwhile'> => {
  const key = Buffer.from(keys.config)
  const value = Buffer.from(config.value)
  const transaction = {
    compare: config.modRevision === undefined ? [] : [unchanged(key, config.modRevision)],
    success: [{ request_put: { key, value } }],
    failure: [get(key)],
  }
  return request$(pool, ({ requests }) => requests.kv.txn(transaction)).pipe(
    needs(writeOn(key)),
    map((response) =>
      response.succeeded || firstKv(response, 0)?.value.equals(value) ? 'written' : 'changed-meanwhile',
    ),
  )
}

/** A key that does not exist has revision 0, so that this guards a creation too. */
const unchanged = (key: Buffer, modRevision: number): ICompare => ({
  key,
  target: 'Mod',
  result: 'Equal',
  mod_revision: modRevision,
})

const writeOn = (key: Buffer): string => `readwrite on ${key.toString()}`

const get = (key: Buffer): IRequestOp => ({ request_range: { key } })

const firstKv = (response: ITxnResponse, index: number): IKeyValue | undefined =>
  response.responses[index]?.response_range.kvs[0]
