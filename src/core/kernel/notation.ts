import { Cidr } from '../net/cidr.ts'
import { Ip } from '../net/ip.ts'
import { Mac } from '../net/mac.ts'
import type { Op, Row } from './rows.ts'

/** Number of our routes in the kernel (`ip route … proto 84`): `T` in ASCII, free in iproute2's rt_protos. */
export const routeProtocol = 84

/**
 * A change as the command that a network engineer would type:
 * `bridge fdb replace 02:00:00:00:00:02 dev tweed.1 dst 192.0.2.2 self permanent`.
 */
export const printOp = (op: Op, device: string): string => {
  if (op.inUse === true && op.row.kind === 'neighbour')
    return `ip neigh change ${Ip.print(op.row.ip)} nud failed dev ${device}`
  const verb =
    op.verb === 'remove' ? 'del' : op.row.kind === 'route' && op.replace !== true ? 'add' : 'replace'
  const [tool, rest] = words(op.row, device)
  return `${tool} ${verb} ${rest}`
}

/** A row as `ip` and `bridge` list it, with the table in front: `fdb 02:… dev tweed.1 dst 192.0.2.2 self permanent`. */
export const printRow = (row: Row, device: string): string => {
  const [tool, rest] = words(row, device)
  return `${tool.split(' ')[1] ?? tool} ${rest}`
}

function words(row: Row, device: string): readonly [string, string] {
  switch (row.kind) {
    case 'fdb':
      return ['bridge fdb', `${Mac.print(row.mac)} dev ${device} dst ${Ip.print(row.vtep)} self permanent`]
    case 'neighbour':
      return ['ip neigh', `${Ip.print(row.ip)} lladdr ${Mac.print(row.mac)} nud ${row.state} dev ${device}`]
    case 'route': {
      const onLink = row.dst.family === 4 ? `dev ${device} scope link` : `dev ${device}` // IPv6 has no scopes
      const way = row.via === undefined ? onLink : `via ${Ip.print(row.via)} dev ${device} onlink`
      return ['ip route', `${Cidr.print(row.dst)} ${way} proto ${String(routeProtocol)}`]
    }
  }
}
