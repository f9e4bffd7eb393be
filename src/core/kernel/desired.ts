import type { Cidr } from '../net/cidr.ts'
import type { Peer } from '../overlay/peer.ts'
import type { FdbEntry, Neighbour, Route, Row } from './rows.ts'

/** The three rows of one host, in the order in which they are safe to add. */
export interface HostRows {
  readonly fdb: FdbEntry
  readonly neighbour: Neighbour
  readonly route: Route
}

/**
 * What flannel programs for a vxlan peer: its subnet address is the next hop of its subnet, so that there is one
 * neighbour, one FDB entry and one route for each host, however many containers it has.
 */
export const hostRows = (peer: Peer, link: number): HostRows => ({
  fdb: { kind: 'fdb', link, mac: peer.vtepMac, vtep: peer.publicIp },
  neighbour: { kind: 'neighbour', link, ip: peer.subnet.address, mac: peer.vtepMac, state: 'permanent' },
  route: { kind: 'route', link, dst: peer.subnet, via: peer.subnet.address },
})

/** The one route of `on-miss`: every address of the overlay is on the link, so the ARP layer asks for it. */
export const overlayRoute = (network: Cidr, link: number): Route => ({
  kind: 'route',
  link,
  dst: network,
  via: undefined,
})

/** The answer for one address of a host: NOARP, which the kernel may evict and which needs no live agent. */
export const containerNeighbour = (peer: Peer, ip: Neighbour['ip'], link: number): Neighbour => ({
  kind: 'neighbour',
  link,
  ip,
  mac: peer.vtepMac,
  state: 'noarp',
})

export const rowsInAddOrder = (rows: HostRows): readonly Row[] => [rows.fdb, rows.neighbour, rows.route]
