import type { AgentStatus, PeerStatus } from '../../src/core/status.ts'
import type { Container } from './container.ts'
import type { Host } from './host.ts'
import { type Lab, prefix } from './lab.ts'
import { type Finished, eventually, output } from './process.ts'

/** What stands in a record, as somebody else than an agent would write it. */
export interface RecordFields {
  readonly publicIp?: string | null
  readonly mac?: string
  readonly vni?: number
  readonly type?: string
  readonly node?: string
}

/** Agents take their subnets below 10.5.100.0, so that those of fake peers stay free. */
export const halfConfig = {
  Network: '10.5.0.0/16',
  SubnetMin: '10.5.1.0',
  SubnetMax: '10.5.99.0',
  Backend: { Type: 'vxlan' },
}

/** Both families, each with half of its network free for fake peers. */
export const dualConfig = {
  ...halfConfig,
  EnableIPv6: true,
  IPv6Network: 'fc00::/48',
  IPv6SubnetMin: 'fc00:0:0:1::',
  IPv6SubnetMax: 'fc00:0:0:99::',
}

/** IPv6 alone: records that only tweed reads. */
export const ipv6Config = {
  EnableIPv4: false,
  EnableIPv6: true,
  IPv6Network: 'fc00::/48',
  Backend: { Type: 'vxlan' },
}

/** `10.5.9.0/24` → its key in etcd. */
export const subnetKey = (subnet: string): string => `${prefix}/subnets/${subnet.replace('/', '-')}`

/** A record as flannel writes it, of a peer that is called by a number. */
export const recordOf = (number: number, fields: RecordFields = {}): string => {
  const { publicIp = publicIpOf(number), mac = macOf(number), vni = 1, type = 'vxlan', node } = fields
  return JSON.stringify({
    PublicIP: publicIp,
    PublicIPv6: null,
    BackendType: type,
    BackendData: { VNI: vni, VtepMAC: mac },
    ...(node !== undefined && { Node: node }),
  })
}

/** A peer that exists in etcd only: 10.5.100+n.0/24 behind 198.51.100.n. */
export const fakeSubnet = (number: number): string => `10.5.${100 + number}.0/24`
export const publicIpOf = (number: number): string => `198.51.100.${number}`
export const macOf = (number: number): string => `02:00:5e:00:00:${number.toString(16).padStart(2, '0')}`

export const putFake = (lab: Lab, number: number, fields: RecordFields = {}): Promise<string> =>
  lab.etcdctl('put', subnetKey(fakeSubnet(number)), recordOf(number, fields))

/** Writes a value of any size and any bytes: through standard input, since an argument ends at 128 KiB. */
export const putRaw = (lab: Lab, key: string, value: string): Promise<string> =>
  output(
    lab.underlay.wrap(['env', 'ETCDCTL_API=3', 'etcdctl', '--endpoints', lab.endpoint, 'put', '--', key]),
    value,
  )

/** The peer with this subnet, as the host's agent tells of it, once `accept` likes it. */
export const peerBecomes = (
  host: Host,
  subnet: string,
  accept: (peer: PeerStatus | undefined) => boolean,
): Promise<PeerStatus | undefined> =>
  eventually(`peer ${subnet} of ${host.name}`, async () => {
    const peer = (await host.peers()).find((candidate) => candidate.subnet === subnet)
    return accept(peer) ? { peer } : undefined
  }).then(({ peer }) => peer)

export const statusBecomes = (
  host: Host,
  what: string,
  accept: (status: AgentStatus) => boolean,
  timeoutMs?: number,
): Promise<AgentStatus> =>
  eventually(
    `${host.name}: ${what}`,
    async () => {
      const status = await host.status().catch(() => undefined)
      return status && accept(status) ? status : undefined
    },
    timeoutMs,
  )

/** The tables in one comparable piece of text per row, sorted; without questions of the kernel that nobody answers. */
export const tableLines = async (host: Host, device = 'tweed.1'): Promise<readonly string[]> => {
  const { routes, neighbours, fdb } = await host.tables(device)
  return [
    ...routes.map((row) => `route ${row.dst} via ${row.gateway ?? '-'} ${row.flags.join()}`),
    ...neighbours.filter(isAnswer).map((row) => `neigh ${row.dst} ${row.lladdr ?? '-'} ${row.state.join()}`),
    ...fdb.map((row) => `fdb ${row.mac} ${row.dst ?? '-'} ${row.state ?? ''}`),
  ].sort()
}

const isAnswer = ({ state }: { readonly state: readonly string[] }): boolean =>
  !state.includes('INCOMPLETE') && !state.includes('FAILED')

/** Destinations of the FDB entries of a device. */
export const fdbOf = async (host: Host, device: string): Promise<readonly string[]> =>
  (await host.tables(device)).fdb.map(({ dst }) => dst ?? '').sort()

/** Rows of the fake peer with this number among them. */
export const fakeRows = async (host: Host, number: number, mac = macOf(number)): Promise<readonly string[]> =>
  (await tableLines(host)).filter((line) => line.includes(`10.5.${100 + number}.0`) || line.includes(mac))

/** Makes a host of `on-miss` use a peer: nobody answers the ping, but the kernel asks for the next hop. */
export const useFake = async (host: Host, number: number): Promise<void> => {
  await host.exec('ping', '-c1', '-W0.05', `10.5.${100 + number}.0`).catch(() => undefined)
}

/** A container on each of the first two hosts. */
export const twoContainers = async (lab: Lab): Promise<readonly [Container, Container]> => [
  await lab.host(1).addContainer('a'),
  await lab.host(2).addContainer('b'),
]

/** Flags that name etcd, and files of this host's agent. */
export const etcdFlags = (lab: Lab): readonly string[] => [
  ...['--etcd-endpoints', lab.endpoint, '--etcd-prefix', prefix],
]
export const fileFlags = ({ paths }: Host): readonly string[] => [
  ...['--state-dir', paths.stateDir, '--run-dir', paths.runDir, '--subnet-file', paths.subnetFile],
]

/** Both outputs and the code, for a message when it isn't the expected one. */
export const told = ({ code, stdout, stderr }: Finished): string => `exit ${String(code)}\n${stdout}${stderr}`
