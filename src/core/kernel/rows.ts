import { Ip } from '../net/ip.ts'
import { Cidr, type CidrKey } from '../net/cidr.ts'
import type { Mac } from '../net/mac.ts'

/** A row of one of the three tables of which forwarding state consists. */
export type Row = FdbEntry | Neighbour | Route

/** FDB of the VXLAN device: inner destination MAC → the VTEP's underlay address. Always `self permanent`. */
export interface FdbEntry {
  readonly kind: 'fdb'
  readonly link: number
  readonly mac: Mac
  readonly vtep: Ip
}

/** Neighbour table: inner IP → inner MAC. */
export interface Neighbour {
  readonly kind: 'neighbour'
  readonly link: number
  readonly ip: Ip
  readonly mac: Mac
  /** `permanent` for a host, `noarp` for one container: the state that the kernel may evict without harm. */
  readonly state: 'permanent' | 'noarp'
}

/** A route with our protocol number, in the main table. */
export interface Route {
  readonly kind: 'route'
  readonly link: number
  readonly dst: Cidr
  /** Next hop, reached `onlink`; without one the destination is on the link itself (`scope link`). */
  readonly via: Ip | undefined
}

/** Add means create or replace; remove means that it is gone afterwards, whether or not it was there. */
export interface Op {
  readonly verb: 'add' | 'remove'
  readonly row: Row
  /** For an added route: a route of ours stands there already and is replaced. */
  readonly replace?: boolean
  /** For a removed neighbour: packets may be finding it at this moment, and none of them may be lost. */
  readonly inUse?: boolean
}

/** What the kernel holds of ours. */
export interface Dump {
  readonly rows: readonly Row[]
  /** Milliseconds since the data path used an FDB entry, by MAC. */
  readonly idleMsByMac: ReadonlyMap<number, number>
}

export type RowKey = string | number | bigint

/** What identifies a row in its own table of one device. */
export const rowKey = (row: Row): RowKey => {
  switch (row.kind) {
    case 'fdb':
      return row.mac
    case 'neighbour':
      return row.ip
    case 'route':
      return routeKey(row.dst)
  }
}
export const routeKey = (dst: Cidr): CidrKey => Cidr.key(dst)

export const sameRow = (a: Row, b: Row): boolean => {
  if (a.link !== b.link) return false
  switch (a.kind) {
    case 'fdb':
      return b.kind === 'fdb' && a.mac === b.mac && a.vtep === b.vtep
    case 'neighbour':
      return b.kind === 'neighbour' && a.ip === b.ip && a.mac === b.mac && a.state === b.state
    case 'route':
      return b.kind === 'route' && Cidr.equals(a.dst, b.dst) && a.via === b.via
  }
}

/** For maps over all tables together. */
export const rowId = (row: Row): string =>
  `${row.kind}/${row.kind === 'neighbour' ? Ip.print(row.ip) : String(rowKey(row))}`
