import type { IKeyValue, IResponseHeader } from 'etcd3'
import { EMPTY, expand, map, reduce, type Observable } from 'rxjs'
import type { EndpointPool } from './endpoint-pool.ts'
import { needs, request$ } from './request.ts'

/** `end` is exclusive; without it the range is the one key. */
export interface KeyRange {
  readonly start: Buffer
  readonly end: Buffer | undefined
}

/** Every key that begins with the text. */
export const prefixRange = (prefix: string): KeyRange => {
  const start = Buffer.from(prefix)
  const end = Buffer.from(prefix)
  end[end.length - 1] = (end.at(-1) ?? 0) + 1 // our prefixes end with '/', so nothing is carried over
  return { start, end }
}

/** The permission to read it. */
export const readOn = ({ start, end }: KeyRange): string =>
  `read on ${start.toString()}${end ? ' and all keys below' : ''}`

/** What a range held at one revision. */
export interface Snapshot {
  readonly kvs: readonly IKeyValue[]
  readonly revision: number
  /** Of the first answer: tells one incarnation of a cluster from the next. */
  readonly header: IResponseHeader
}

interface Page extends Snapshot {
  readonly more: boolean
}

/** etcd counts the whole range again for every page, so that small ones are dear: 5,000 records are 1 MB. */
const pageSize = 5000

/**
 * The whole range at one revision (the present one, or the one given), read linearizably, page by page.
 * Errors with `etcd-compacted` when the revision is gone before the last page is read.
 */
export const snapshot$ = (
  pool: EndpointPool,
  range: KeyRange,
  options: { readonly revision?: number; readonly retries?: number } = {},
): Observable<Snapshot> =>
  page$(pool, range, options).pipe(
    expand(({ more, kvs, revision }) => {
      const last = kvs.at(-1)
      return more && last
        ? page$(pool, { ...range, start: after(last.key) }, { ...options, revision })
        : EMPTY
    }),
    reduce((whole, page) => ({ ...whole, kvs: whole.kvs.concat(page.kvs) })), // the first header stays
    needs(readOn(range)),
  )

const page$ = (
  pool: EndpointPool,
  range: KeyRange,
  { revision, retries }: { readonly revision?: number; readonly retries?: number },
): Observable<Page> => {
  const request = {
    key: range.start,
    ...(range.end && { range_end: range.end }),
    ...(revision !== undefined && { revision }),
    limit: pageSize,
  }
  return request$(pool, ({ requests }) => requests.kv.range(request), retries).pipe(
    // Later answers carry the revision that the store has by then.
    map(({ kvs, more, header }) => ({ kvs, more, header, revision: revision ?? Number(header.revision) })),
  )
}

/** The first key behind this one. */
const after = (key: Buffer) => Buffer.concat([key, Buffer.of(0)])
