import { Cidr } from '../net/cidr.ts'
import type { Op, Route } from './rows.ts'

/**
 * What replaces a route whose next hop lies in its own destination. IPv6 looks such a next hop up and refuses one that
 * the old route leads over another device, onlink or not (net/ipv6/route.c: ip6_route_check_nh_onlink). A route for the
 * next hop alone, for as long as that takes, answers the look-up; the tunnel has the host's other rows by then.
 */
export const replacement = (op: Op): readonly Op[] => {
  const { row } = op
  if (row.kind !== 'route' || op.verb === 'remove' || op.replace !== true) return [op]
  const hop = hopInside(row)
  return hop ? [{ verb: 'add', row: hop }, op, { verb: 'remove', row: hop }] : [op]
}

function hopInside({ dst, via, link }: Route): Route | undefined {
  if (dst.family === 4 || via === undefined || !Cidr.contains(dst, via)) return undefined
  return { kind: 'route', dst: Cidr.of(via, 128), via: undefined, link }
}
