import { Ipv4 } from '../net/ipv4.ts'
import { Ipv6 } from '../net/ipv6.ts'
import type { Cidr } from '../net/cidr.ts'
import { type Ip, isIpv4 } from '../net/ip.ts'

/**
 * Which host owns an address: one mask and one map look-up, the whole of the miss path's thinking.
 * Every admitted subnet of a family has the network's one subnet length, so that the masked address is the key.
 */
export class SubnetIndex<Host> {
  readonly #hosts = new Map<number | bigint, Host>()
  #mask4 = 0
  #mask6 = 0n

  set(subnet: Cidr, host: Host): void {
    if (subnet.family === 4) this.#mask4 = Ipv4.mask(subnet.length)
    else this.#mask6 = Ipv6.mask(subnet.length)
    this.#hosts.set(subnet.address, host)
  }

  /** Unless the subnet has passed to another host. */
  delete(subnet: Cidr, host: Host): void {
    if (this.#hosts.get(subnet.address) === host) this.#hosts.delete(subnet.address)
  }

  find(ip: Ip): Host | undefined {
    return this.#hosts.get(isIpv4(ip) ? (ip & this.#mask4) >>> 0 : ip & this.#mask6)
  }
}
