import type { Cidr } from '../net/cidr.ts'
import type { Ip } from '../net/ip.ts'
import type { Mac } from '../net/mac.ts'
import type { Leg } from '../overlay/peer.ts'
import type { FdbEntry, Neighbour, Route, Row } from './rows.ts'

/** How packets get to a host: through the VXLAN device, or, where it is on the underlay's link, plainly. */
export interface Path {
  readonly kind: 'tunnel' | 'direct'
  readonly link: number
}

/**
 * The rows of one host, in the order in which they are safe to add. Through the tunnel, what flannel programs for a
 * vxlan peer: its subnet address is the next hop of its subnet, so that there is one neighbour, one FDB entry and one
 * route for each host, however many containers it has. Directly, what it programs for host-gw: the route alone.
 */
export const hostRows = ({ subnet, publicIp, vtepMac }: Leg, { kind, link }: Path): readonly Row[] => {
  if (kind === 'direct') return [{ kind: 'route', link, dst: subnet, via: publicIp }]
  const route: Route = { kind: 'route', link, dst: subnet, via: subnet.address }
  if (vtepMac === undefined) return []
  return [
    { kind: 'fdb', link, mac: vtepMac, vtep: publicIp },
    { kind: 'neighbour', link, ip: subnet.address, mac: vtepMac, state: 'permanent' },
    route,
  ]
}

/**
 * The answer to a question for `ip`: all that its packet needs, in the order in which it is safe. A host's own address
 * is answered for good. That of a container gets NOARP, which the kernel may evict and which needs no live agent.
 */
export const answerRows = (
  { subnet, publicIp }: Leg,
  mac: Mac,
  { ip, link }: { readonly ip: Ip; readonly link: number },
): readonly [FdbEntry, Neighbour] => [
  { kind: 'fdb', link, mac, vtep: publicIp },
  { kind: 'neighbour', link, ip, mac, state: ip === subnet.address ? 'permanent' : 'noarp' },
]

/** The one route of `on-miss`: every address of the overlay is on the link, so the ARP layer asks for it. */
export const overlayRoute = (network: Cidr, link: number): Route => ({
  kind: 'route',
  link,
  dst: network,
  via: undefined,
})
