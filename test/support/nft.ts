import { Netns, veth } from './netns.ts'
import type { Lab } from './lab.ts'
import type { NftObject } from '../../src/core/filter/nftables.ts'

/** `nft` in a namespace; the commands as its language has them. */
export const nft = (netns: Netns, commands: string): Promise<string> => netns.exec('nft', commands)

/** Every table with handles: it changes with each write, though the rules may stay the same. */
export const ruleset = (netns: Netns): Promise<string> => netns.exec('nft', '-a', 'list', 'ruleset')

/** Notes the source of every packet of these protocols that comes into a namespace. */
export class SourceWatch {
  readonly #netns: Netns

  private constructor(netns: Netns) {
    this.#netns = netns
  }

  static async start(netns: Netns): Promise<SourceWatch> {
    await nft(
      netns,
      `table inet watch {
        set from4 { type ipv4_addr; size 1024; flags dynamic; }
        set from6 { type ipv6_addr; size 1024; flags dynamic; }
        chain in {
          type filter hook prerouting priority -300; policy accept;
          icmp type echo-request add @from4 { ip saddr }
          icmpv6 type echo-request add @from6 { ip6 saddr }
        }
      }`,
    )
    return new SourceWatch(netns)
  }

  /** Of pings since the last time. */
  async seen(): Promise<readonly string[]> {
    const sources: string[] = []
    for (const name of ['from4', 'from6']) {
      const printed = await this.#netns.exec('nft', '-j', 'list', 'set', 'inet', 'watch', name)
      const { nftables } = JSON.parse(printed) as { readonly nftables: readonly NftObject[] }
      for (const { set } of nftables) sources.push(...((set as { elem?: string[] } | undefined)?.elem ?? []))
      await nft(this.#netns, `flush set inet watch ${name}`)
    }
    return sources.sort()
  }
}

export const internetAddress = '203.0.113.9'
export const internetAddress6 = '2001:db8:1::9'

/** A machine beyond the router of the underlay, which knows no way into the overlay. */
export const addInternet = async ({ underlay, hasIpv6 }: Lab): Promise<Netns> => {
  const internet = await Netns.add(`${underlay.name}-internet`)
  await veth([underlay, 'isp'], [internet, 'eth0'])
  await underlay.batch(['addr add 203.0.113.1/24 dev isp'])
  await internet.batch([`addr add ${internetAddress}/24 dev eth0`, 'route add default via 203.0.113.1'])
  await underlay.sysctl('net.ipv4.ip_forward', '1')
  if (!hasIpv6) return internet
  await underlay.enableIpv6('isp')
  for (const name of ['lo', 'eth0']) await internet.enableIpv6(name)
  await underlay.batch(['addr add 2001:db8:1::1/64 dev isp nodad'])
  await internet.batch([
    `addr add ${internetAddress6}/64 dev eth0 nodad`,
    'route add default via 2001:db8:1::1',
  ])
  await underlay.sysctl('net.ipv6.conf.all.forwarding', '1')
  return internet
}
