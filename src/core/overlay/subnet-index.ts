import { Ipv4 } from '../net/ipv4.ts'
import { type Ip, isIpv4 } from '../net/ip.ts'
import type { Peer } from './peer.ts'

/**
 * Which host owns an address: one mask and one map look-up, the whole of the miss path's thinking.
 * Every admitted subnet has the network's one subnet length, so that the masked address is the key.
 */
export class SubnetIndex {
  readonly #bySubnet = new Map<number, Peer>()
  #mask = 0

  set(peer: Peer): void {
    this.#mask = Ipv4.mask(peer.subnet.length)
    this.#bySubnet.set(peer.subnet.address, peer)
  }

  delete(peer: Peer): void {
    if (this.#bySubnet.get(peer.subnet.address)?.key === peer.key) this.#bySubnet.delete(peer.subnet.address)
  }

  find(ip: Ip): Peer | undefined {
    return isIpv4(ip) ? this.#bySubnet.get((ip & this.#mask) >>> 0) : undefined
  }
}
