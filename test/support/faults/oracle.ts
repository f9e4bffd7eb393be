import type { IKeyValue } from 'etcd3'
import type { PeerStatus } from '../../../src/core/status.ts'
import { prefix } from '../lab.ts'
import type { Host } from '../host.ts'
import { readTables } from '../tables.ts'

/** What a record says, as far as a peer follows from it. */
interface Listed {
  readonly subnet: string
  readonly publicIp: string
  readonly mac: string
}

export interface Expected {
  /** Keys below `<prefix>/subnets/` that no agent may accept. */
  readonly rejected?: readonly string[]
  /** Subnets that agents keep although etcd has no record of them. */
  readonly held?: readonly string[]
  /** Hosts whose agents are not asked. */
  readonly without?: readonly Host[]
}

const listed = ({ key, value }: IKeyValue): Listed => {
  const { PublicIP, BackendData } = JSON.parse(value.toString()) as {
    PublicIP: string
    BackendData: { VtepMAC: string }
  }
  const subnet = subnetIn(key)
  return { subnet, publicIp: PublicIP, mac: BackendData.VtepMAC }
}

const keyIn = (key: Buffer): string => key.toString().slice(`${prefix}/subnets/`.length)
const subnetIn = (key: Buffer): string => keyIn(key).replace('-', '/')

/** A record as etcd has it, without the prefix of its key. */
export const recordLine = ({ key, value }: IKeyValue): string => `${keyIn(key)} ${value.toString()}`

/** How etcd's list, one agent's view and that host's kernel differ, a line each. */
export const differencesOn = async (
  host: Host,
  kvs: readonly IKeyValue[],
  { rejected = [], held = [] }: Expected,
): Promise<readonly string[]> => {
  const [peers, status] = await Promise.all([host.peers(), host.status()])
  const own = status.lease?.subnet ?? ''
  const wanted = kvs.filter(({ key }) => subnetIn(key) !== own && !rejected.includes(keyIn(key))).map(listed)
  const isHeld = ({ state }: PeerStatus) => state === 'held'
  const kept = peers.filter((peer) => isHeld(peer) && held.includes(peer.subnet))
  const seen = peers.filter((peer) => peer.state !== 'rejected' && !kept.includes(peer))
  const inForce = [
    ...wanted,
    ...kept.map(({ subnet, publicIp, vtepMac: mac }) => ({ subnet, publicIp, mac })),
  ]
  const device = status.device?.name ?? 'tweed.1'
  return [
    ...(ownRecord(kvs, own) ? [] : [`etcd has no record of the own subnet ${own}`]),
    ...compare('agent', wanted.map(line), seen.map(viewLine)),
    ...compare('kernel', inForce.flatMap(rowsOf), await kernelRows(host, device)),
  ].map((text) => `${host.name}: ${text}`)
}

const ownRecord = (kvs: readonly IKeyValue[], own: string): boolean =>
  own !== '' && kvs.some(({ key }) => subnetIn(key) === own)

const line = ({ subnet, publicIp, mac }: Listed): string => `${subnet} at ${publicIp} ${mac} programmed`
const viewLine = ({ subnet, publicIp, vtepMac, state }: PeerStatus): string =>
  `${subnet} at ${publicIp} ${vtepMac} ${state}`

const rowsOf = ({ subnet, publicIp, mac }: Listed): readonly string[] => {
  const address = subnet.replace(/\/.*/, '')
  return [`route ${subnet} via ${address}`, `neigh ${address} ${mac}`, `fdb ${mac} ${publicIp}`]
}

const kernelRows = async (host: Host, device: string): Promise<readonly string[]> => {
  const { routes, neighbours, fdb } = await readTables(host.netns, device)
  return [
    ...routes.map(({ dst, gateway = '-' }) => `route ${dst} via ${gateway}`),
    ...neighbours.map(({ dst, lladdr = '-' }) => `neigh ${dst} ${lladdr}`),
    ...fdb.map(({ mac, dst = '-' }) => `fdb ${mac} ${dst}`),
  ]
}

/** What `who` has of the wanted lines, and beyond them. */
export const compare = (
  who: string,
  wanted: readonly string[],
  found: readonly string[],
): readonly string[] => {
  const [isWanted, isFound] = [new Set(wanted), new Set(found)]
  return [
    ...wanted.filter((text) => !isFound.has(text)).map((text) => `${who} lacks ${text}`),
    ...found.filter((text) => !isWanted.has(text)).map((text) => `${who} has ${text}`),
  ]
}
