import type { Op, Route } from '../../core/kernel/rows.ts'
import { Cidr } from '../../core/net/cidr.ts'
import { isIpv4 } from '../../core/net/ip.ts'

/**
 * IPv6 takes no on-link gateway that it would reach over another device (route.c: ip6_route_check_nh_onlink), and the
 * gateway of a tunnel's route lies in the very prefix that a direct route still holds. With a way to the gateway
 * through the tunnel, for the moment, the route is replaced as IPv4's is: at once, and never missing.
 */
export function wayToGateway({ verb, replace, row }: Op): Route | undefined {
  if (verb === 'remove' || replace !== true || row.kind !== 'route' || row.dst.family !== 6) return undefined
  const { via } = row
  if (via === undefined || isIpv4(via) || !Cidr.contains(row.dst, via)) return undefined
  return { kind: 'route', link: row.link, dst: { family: 6, address: via, length: 128 }, via: undefined }
}
