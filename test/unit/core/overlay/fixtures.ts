import { Cidr, type Cidr4, type Cidr6 } from '../../../../src/core/net/cidr.ts'
import { Ipv4 } from '../../../../src/core/net/ipv4.ts'
import { Ipv6 } from '../../../../src/core/net/ipv6.ts'
import { Mac } from '../../../../src/core/net/mac.ts'
import { type NetworkConfig, parseNetworkConfig } from '../../../../src/core/overlay/network-config.ts'
import type { OwnContext, OwnIdentity, OwnLease } from '../../../../src/core/overlay/own.ts'
import type { StoredRecord } from '../../../../src/core/overlay/record.ts'
import type { Parsed } from '../../../../src/core/parsed.ts'

/** The value or a failed test. */
export const must = <T>(value: T | undefined): T => {
  if (value === undefined) throw new Error('the fixture is wrong')
  return value
}
export const mustParse = <T>(parsed: Parsed<T>): T => {
  if (parsed.kind === 'invalid') throw new Error(`${parsed.field} is ${parsed.value}: ${parsed.rule}`)
  return parsed.value
}

export const ip4 = (text: string): Ipv4 => must(Ipv4.parse(text))
export const ip6 = (text: string): Ipv6 => must(Ipv6.parse(text))
export const mac = (text: string): Mac => must(Mac.parse(text))
export const cidr4 = (text: string): Cidr4 => {
  const cidr = must(Cidr.parse(text))
  if (cidr.family !== 4) throw new Error(`${text} is not IPv4`)
  return cidr
}
export const cidr6 = (text: string): Cidr6 => {
  const cidr = must(Cidr.parse(text))
  if (cidr.family !== 6) throw new Error(`${text} is not IPv6`)
  return cidr
}

export const config = (more: Readonly<Record<string, unknown>> = {}): NetworkConfig =>
  mustParse(
    parseNetworkConfig(JSON.stringify({ Network: '10.5.0.0/16', Backend: { Type: 'vxlan' }, ...more })),
  )

export const dualConfig = (more: Readonly<Record<string, unknown>> = {}): NetworkConfig =>
  config({ EnableIPv6: true, IPv6Network: 'fc00::/48', ...more })

export const me = {
  node: 'me',
  ipv4: { publicIp: ip4('192.0.2.1'), vtepMac: mac('02:00:00:00:00:01') },
  ipv6: undefined,
} satisfies OwnIdentity

export const ownLease: OwnLease = {
  key: '10.5.1.0-24',
  subnet: cidr4('10.5.1.0/24'),
  subnet6: undefined,
  leaseId: '1',
}

export const own = (more: Partial<OwnContext> = {}): OwnContext => ({
  config: config(),
  identity: me,
  lease: ownLease,
  ...more,
})

/** What flannel's documentation shows. */
export const flannelValue =
  '{"PublicIP":"192.168.64.3","PublicIPv6":null,"BackendType":"vxlan","BackendData":{"VNI":1,"VtepMAC":"c6:d2:32:6f:8f:44"}}'

/** A record as a host of ours would write it; `n` makes subnet, address, MAC and node its own. */
export const recordOf = (n: number, more: Partial<StoredRecord> & { value?: string } = {}): StoredRecord => ({
  key: `10.5.${String(n)}.0-24`,
  value: valueOf(n),
  createRevision: 100 + n,
  modRevision: 100 + n,
  leaseId: String(n),
  ...more,
})

export const valueOf = (n: number, more: Readonly<Record<string, unknown>> = {}): string =>
  JSON.stringify({
    PublicIP: `192.0.2.${String(n)}`,
    PublicIPv6: null,
    BackendType: 'vxlan',
    BackendData: { VNI: 1, VtepMAC: `02:00:00:00:00:${n.toString(16).padStart(2, '0')}` },
    Node: `node-${String(n)}`,
    ...more,
  })
