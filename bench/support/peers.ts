import { Cidr } from '../../src/core/net/cidr.ts'
import { Ipv4 } from '../../src/core/net/ipv4.ts'
import { Mac } from '../../src/core/net/mac.ts'
import type { FdbEntry, Neighbour, Route } from '../../src/core/kernel/rows.ts'

/** Room for 50,000 hosts with a /24 each, from 10.1.0.0 on; agents take theirs from 10.250.0.0/16. */
export const benchConfig = {
  Network: '10.0.0.0/8',
  SubnetMin: '10.250.0.0',
  SubnetMax: '10.250.255.0',
  Backend: { Type: 'vxlan' },
}

const subnetNumber = (i: number): number => 0x0a_01_00_00 + i * 256
const vtepNumber = (i: number): number => 0xc6_12_01_00 + i // 198.18.1.0: RFC 2544, networks for benchmarks

export const subnetAddress = (i: number): string => Ipv4.print(Ipv4.of(subnetNumber(i)))
export const vtepAddress = (i: number): string => Ipv4.print(Ipv4.of(vtepNumber(i)))
/** Underlay addresses of all peers lie in it. */
export const vtepNetwork = '198.18.0.0/15'
/** An address of a container on this peer. */
export const containerAddress = (i: number): string => Ipv4.print(Ipv4.of(subnetNumber(i) + 2))

/** Another generation is another MAC: what a host has after its device was made anew. */
const macNumber = (i: number, generation: number): number => 0x02_5e_00_00_00_00 + generation * 2 ** 24 + i
const macOf = (i: number, generation = 0): Mac => {
  const mac = Mac.of(macNumber(i, generation))
  if (mac === undefined) throw new RangeError(`no MAC for peer ${i}`)
  return mac
}
export const macAddress = (i: number, generation = 0): string => Mac.print(macOf(i, generation))

export interface PeerRecord {
  readonly key: string
  readonly value: string
}

/** As flannel writes it. */
export const recordOf = (prefix: string, i: number, generation = 0): PeerRecord => ({
  key: `${prefix}/subnets/${subnetAddress(i)}-24`,
  value: JSON.stringify({
    PublicIP: vtepAddress(i),
    PublicIPv6: null,
    BackendType: 'vxlan',
    BackendData: { VNI: 1, VtepMAC: macAddress(i, generation) },
  }),
})

export const numbers = (count: number, from = 0): readonly number[] =>
  Array.from({ length: count }, (_, i) => from + i)

/** `route` is what an agent writes: a /24 with a next hop of its own; `route32` are /32 with one next hop for all. */
export type RowKind = 'neigh' | 'fdb' | 'route' | 'route32'

export const rowOf = (kind: RowKind, i: number, link: number): Neighbour | FdbEntry | Route => {
  const subnet = Ipv4.of(subnetNumber(i))
  switch (kind) {
    case 'neigh':
      return { kind: 'neighbour', link, ip: subnet, mac: macOf(i), state: 'permanent' }
    case 'fdb':
      return { kind: 'fdb', link, mac: macOf(i), vtep: Ipv4.of(vtepNumber(i)) }
    case 'route':
      return { kind: 'route', link, dst: Cidr.v4(subnet, 24), via: subnet }
    case 'route32':
      return { kind: 'route', link, dst: Cidr.v4(subnet, 32), via: Ipv4.of(subnetNumber(0)) }
  }
}

/** The same as a line for `ip -batch` or, for `fdb`, `bridge -batch`. */
export const batchLine = (kind: RowKind, verb: 'add' | 'del', i: number, device: string): string => {
  const subnet = subnetAddress(i)
  const adds = verb === 'add'
  switch (kind) {
    case 'neigh':
      return adds
        ? `neigh replace ${subnet} lladdr ${macAddress(i)} dev ${device} nud permanent`
        : `neigh del ${subnet} dev ${device}`
    case 'fdb':
      return adds
        ? `fdb replace ${macAddress(i)} dev ${device} dst ${vtepAddress(i)} self permanent`
        : `fdb del ${macAddress(i)} dev ${device} dst ${vtepAddress(i)} self`
    case 'route':
      return adds
        ? `route add ${subnet}/24 via ${subnet} dev ${device} onlink proto 84`
        : `route del ${subnet}/24 dev ${device}`
    case 'route32':
      return adds
        ? `route add ${subnet}/32 via ${subnetAddress(0)} dev ${device} onlink proto 84`
        : `route del ${subnet}/32 dev ${device}`
  }
}
