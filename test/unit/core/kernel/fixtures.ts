import {
  type FdbEntry,
  type Neighbour,
  type Op,
  type Route,
  type Row,
} from '../../../../src/core/kernel/rows.ts'
import { printOp } from '../../../../src/core/kernel/notation.ts'
import { Cidr } from '../../../../src/core/net/cidr.ts'
import { ip4, mac } from '../overlay/fixtures.ts'

export const link = 7
const hex = (n: number): string => n.toString(16).padStart(2, '0')

/** The rows of host `n`, with another MAC or address where named. */
export const fdb = (n: number, vtep = `192.0.2.${n}`): FdbEntry => ({
  ...{ kind: 'fdb', link, mac: mac(`02:00:00:00:00:${hex(n)}`), vtep: ip4(vtep) },
})
export const neighbour = (n: number, station = `02:00:00:00:00:${hex(n)}`): Neighbour => ({
  ...{ kind: 'neighbour', link, ip: ip4(`10.5.${n}.0`), mac: mac(station), state: 'permanent' },
})
export const route = (n: number, via = `10.5.${n}.0`): Route => ({
  ...{ kind: 'route', link, dst: Cidr.v4(ip4(`10.5.${n}.0`), 24), via: ip4(via) },
})
export const host = (n: number): readonly Row[] => [fdb(n), neighbour(n), route(n)]

/** As somebody would type them. */
export const typed = (ops: readonly Op[]): readonly string[] => ops.map((op) => printOp(op, 'tweed.1'))
/** `add fdb`, `remove route`, …: enough where only the order matters. */
export const kinds = (ops: readonly Op[]): readonly string[] =>
  ops.map(({ verb, row }) => `${verb} ${row.kind}`)
