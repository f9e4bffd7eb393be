import type { Family } from './families.ts'
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

/** A machine beyond the router of the underlay, and the router’s address on the way there. */
export const internetOf: Readonly<
  Record<Family['name'], { readonly address: string; readonly router: string }>
> = {
  IPv4: { address: '203.0.113.9', router: '203.0.113.1' },
  IPv6: { address: '2001:db8:1::9', router: '2001:db8:1::1' },
}

/** Makes that machine, which knows no way into the overlay. */
export const addInternet = async ({ underlay, hasIpv6 }: Lab): Promise<Netns> => {
  const internet = await Netns.add(`${underlay.name}-internet`)
  await veth([underlay, 'isp'], [internet, 'eth0'])
  const join = async ({ address, router }: (typeof internetOf)['IPv4'], length: string) => {
    await underlay.batch([`addr add ${router}/${length} dev isp`])
    await internet.batch([`addr add ${address}/${length} dev eth0`, `route add default via ${router}`])
  }
  await join(internetOf.IPv4, '24')
  await underlay.sysctl('net.ipv4.ip_forward', '1')
  if (!hasIpv6) return internet
  await underlay.enableIpv6('isp')
  for (const name of ['lo', 'eth0']) await internet.enableIpv6(name)
  await join(internetOf.IPv6, '64 nodad')
  await underlay.sysctl('net.ipv6.conf.all.forwarding', '1')
  return internet
}
