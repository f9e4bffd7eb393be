import { Ip } from '../core/net/ip.ts'
import type { Ipv4 } from '../core/net/ipv4.ts'
import type { SubnetKey } from '../core/overlay/record.ts'
import { parseSubnets } from '../core/overlay/subnet-key.ts'
import type { Ipv6 } from '../core/net/ipv6.ts'
import {
  address, agentOnly, atLeast, duration, make, oneOf, optional, type Setting, text, yesOrNo,
} from './setting.ts' // prettier-ignore

const endpoints = (texts: readonly string[]): readonly string[] | undefined => {
  const urls = texts.flatMap((t) => t.split(',')).filter((t) => t !== '')
  return urls.length > 0 && urls.every((url) => /^(https?:\/\/)?[^\s/@]+:\d{1,5}\/?$/.test(url))
    ? urls
    : undefined
}

const regex = (source: string): RegExp | undefined => {
  try {
    return new RegExp(source)
  } catch {
    return undefined
  }
}

/** Every setting by its flag; those that mean what a flannel flag means have its name. */
export const settings = {
  'etcd-endpoints': make(
    ['<urls>', 'etcd endpoints, comma separated', 'http://127.0.0.1:2379'],
    'must be URLs such as http://192.0.2.1:2379, separated by commas',
    endpoints,
    { repeatable: true },
  ),
  'etcd-prefix': make(
    ['<path>', 'prefix of every key in etcd', '/coreos.com/network'],
    'must start with a slash and not end with one',
    ([given = '']) => (/^\/\S*[^/\s]$/.test(given) ? given : undefined),
  ),
  'etcd-cafile': optional([
    '<file>',
    'certificate authority that signed the certificates of etcd; enough for TLS',
  ]),
  'etcd-certfile': optional(['<file>', 'client certificate for etcd']),
  'etcd-keyfile': optional(['<file>', 'key of the client certificate']),
  'etcd-username': optional(['<name>', 'etcd user']),
  'etcd-password': optional(
    ['<password>', 'password of the etcd user; better given as TWEED_ETCD_PASSWORD'],
    { secret: true },
  ),
  'etcd-cert-reload': atLeast(
    '1s',
    ['<duration>', 'how often the certificate files are looked at for new ones', '60s'],
    agentOnly,
  ),
  iface: make<readonly string[]>(
    [
      '<name|address>',
      'underlay interface; may be given several times, the first that exists is taken (default: that of the default route)',
    ],
    'must be an interface name or an address',
    (texts) => texts.flatMap((t) => t.split(',')).filter((t) => t !== ''),
    { repeatable: true, agentOnly: true },
  ),
  'iface-regex': make<readonly RegExp[]>(
    ['<regex>', 'underlay interface by name or address; tried after --iface, may be given several times'],
    'must be a regular expression',
    (texts) => {
      const patterns = texts.map(regex)
      return patterns.every((p) => p !== undefined) ? patterns : undefined
    },
    { repeatable: true, agentOnly: true },
  ),
  'iface-can-reach': make<Ip | undefined>(
    ['<address>', 'take the interface over which the kernel would reach this address'],
    'must be an IP address',
    ([given = '']) => Ip.parse(given),
    agentOnly,
  ),
  'public-ip': address<Ipv4>(
    [4, ['<address>', 'address that peers send to (default: that of the underlay interface)']],
    agentOnly,
  ),
  'public-ipv6': address<Ipv6>(
    [6, ['<address>', 'IPv6 address that peers send to (default: that of the underlay interface)']],
    agentOnly,
  ),
  'subnet-file': text([
    '<file>',
    'where the subnet is written for CNI and docker',
    '/run/flannel/subnet.env',
  ]),
  resolve: oneOf(
    ['eager', 'on-miss'],
    [
      '<eager|on-miss>',
      'eager: rows for every host; on-miss: rows for the hosts in use, made by the first packet',
      'eager',
    ],
  ),
  device: make<string | undefined>(
    ['<name>', 'name of the VXLAN device (default: tweed.<VNI>)'],
    'must be an interface name: 1 to 15 characters without slash, colon or space',
    ([given = '']) => (/^[^\s/:]{1,15}$/.test(given) && given !== '.' && given !== '..' ? given : undefined),
  ),
  'tx-checksum-offload': oneOf(
    ['keep', 'on', 'off'],
    ['<keep|on|off>', 'whether the device leaves checksums to the network card; keep: as it is', 'keep'],
    agentOnly,
  ),
  'state-dir': text(['<dir>', 'what outlives a reboot: identity, lease, known peers', '/var/lib/tweed']),
  'run-dir': text(['<dir>', 'the socket that status, peers, renumber and leave ask', '/run/tweed']),
  idle: duration(
    ['<duration>', 'on-miss: rows of a host unused for so long go; 0 keeps them', '10m'],
    agentOnly,
  ),
  'max-neighbours': make(
    ['<count>', 'on-miss: most hosts with rows; at the bound the least recently used goes', '16384'],
    'must be a whole number from 1 to 1000000',
    ([given = '']) => (/^[1-9]\d{0,5}$|^1000000$/.test(given) ? Number(given) : undefined),
    agentOnly,
  ),
  hold: duration(['<duration>', 'a peer whose record vanishes keeps its rows for so long', '60s'], agentOnly),
  subnet: make<SubnetKey | undefined>(
    ['<subnet>', 'the subnet that this host takes, and no other; in dual stack both, with a comma'],
    'must be a subnet without host bits such as 10.5.7.0/24, or 10.5.7.0/24,fc00:0:0:7::/64',
    ([given = '']) => parseSubnets(given),
    agentOnly,
  ),
  'ip-masq': yesOrNo(
    ['packets that leave the overlay get the address of the host; a table of nftables', 'false'],
    agentOnly,
  ),
  'ip-masq-fully-random-disable': yesOrNo(
    ['masquerading keeps source ports where it can, instead of choosing them at random', 'false'],
    agentOnly,
  ),
  'forward-rules': yesOrNo(
    ['forward chains of others that would drop packets of the overlay get rules that accept them', 'false'],
    agentOnly,
  ),
  'on-conflict': oneOf(
    ['renumber', 'hold', 'exit'],
    [
      '<renumber|hold|exit>',
      'when etcd gives our subnet to another host: take another, keep forwarding and claiming, or end',
      'renumber',
    ],
    agentOnly,
  ),
  'on-config-change': oneOf(
    ['hold', 'renumber'],
    [
      '<hold|renumber>',
      'when the network changes so that containers would notice: wait for tweed renumber, or do it at once',
      'hold',
    ],
    agentOnly,
  ),
  'lease-ttl': atLeast(
    '60s',
    ['<duration>', 'life of the etcd lease that the subnet hangs on; kept alive hourly', '24h'],
    agentOnly,
  ),
  resync: atLeast(
    '1s',
    ['<duration>', 'how often the tables are compared with the kernel although nothing happened', '5m'],
    agentOnly,
  ),
  audit: atLeast(
    '1s',
    ['<duration>', 'how often the records in etcd are listed although the watch goes on', '6h'],
    agentOnly,
  ),
  'log-level': oneOf(
    ['debug', 'info', 'warn', 'error'],
    ['<level>', 'debug, info, warn or error', 'info'],
    agentOnly,
  ),
  'log-format': oneOf(
    ['auto', 'json', 'text'],
    ['<format>', 'json, text, or auto: text on a terminal, json elsewhere', 'auto'],
    agentOnly,
  ),
} as const satisfies Record<string, Setting<unknown>>

export type Flag = keyof typeof settings
/** The values in force. A setting without default may be undefined. */
export type Settings = {
  readonly [F in Flag]: (typeof settings)[F] extends Setting<infer T> ? T : never
}
