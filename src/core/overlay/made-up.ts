import type { Family, Ip } from '../net/ip.ts'
import { Ipv4 } from '../net/ipv4.ts'
import { Ipv6 } from '../net/ipv6.ts'
import { Mac } from '../net/mac.ts'
import { parseNetworkConfig } from './network-config.ts'
import type { OwnContext } from './own.ts'
import { encodeRecord, type StoredRecord } from './record.ts'
import { parseSubnetKey } from './subnet-key.ts'

/** A network with hosts that nobody has, in the prefixes that are kept for benchmarks (RFC 2544, RFC 5180). */
export interface MadeUpNetwork {
  readonly own: OwnContext
  /** Of the other hosts. */
  readonly records: readonly StoredRecord[]
  /** Addresses of containers on those hosts, on one after the other. */
  readonly containerAddress: (n: number, family: Family) => Ip
}

export const madeUpNetwork = (families: readonly Family[], hosts: number): MadeUpNetwork => {
  const [has4, has6] = [families.includes(4), families.includes(6)]
  const config = parseNetworkConfig(
    JSON.stringify({
      ...{ EnableIPv4: has4, Network: '198.18.0.0/15', EnableIPv6: has6, IPv6Network: '2001:2::/48' },
      Backend: { Type: 'vxlan' },
    }),
  )
  const keyOf = (host: number): string =>
    [has4 ? `198.18.${host}.0-24` : [], has6 ? `2001:2:0:${host.toString(16)}::-64` : []].flat().join('&')
  const key = keyOf(hosts + 1)
  const subnets = parseSubnetKey(key)
  const vtepMac = macOf(hosts + 1)
  if (config.kind === 'invalid' || !subnets || vtepMac === undefined)
    throw new Error('the network is made up badly')
  return {
    own: {
      config: config.value,
      identity: {
        node: 'rehearsal',
        ipv4: has4 ? { publicIp: publicIpOf(hosts + 1), vtepMac } : undefined,
        ipv6: has6 ? { publicIp: publicIp6Of(hosts + 1), vtepMac } : undefined,
      },
      lease: { key, ...subnets, leaseId: '0' },
    },
    records: Array.from({ length: hosts }, (_, i) => ({
      key: keyOf(i + 1),
      value: encodeRecord({
        publicIp: has4 ? publicIpOf(i + 1) : undefined,
        publicIp6: has6 ? publicIp6Of(i + 1) : undefined,
        backendType: 'vxlan',
        vni: 1,
        vtepMac: has4 ? macOf(i + 1) : undefined,
        vtepMac6: has6 ? macOf(i + 1) : undefined,
        node: undefined,
        leaving: false,
      }),
      createRevision: 1,
      modRevision: 1,
      leaseId: '0',
    })),
    containerAddress: (n, family) => {
      const [host, address] = [(n % hosts) + 1, 2 + Math.floor(n / hosts)]
      return family === 4
        ? Ipv4.of(0xc612_0000 + host * 256 + address)
        : Ipv6.of((0x2001_0002_0000_0000n << 64n) + (BigInt(host) << 64n) + BigInt(address))
    },
  }
}

const publicIpOf = (host: number): Ipv4 => Ipv4.of(0xcb00_7100 + host) // 203.0.113.0/24
const publicIp6Of = (host: number): Ipv6 => Ipv6.of((0x2001_0db8n << 96n) + BigInt(host)) // 2001:db8::/32
const macOf = (host: number): Mac | undefined => Mac.of(0x0200_0000_0000 + host)
