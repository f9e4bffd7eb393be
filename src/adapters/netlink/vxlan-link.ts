import { constants } from 'node:os'
import { Fault } from '../../core/fault.ts'
import type { EnsuredLink, VxlanFacts, VxlanSpec } from '../../core/kernel/link.ts'
import { checksumFeature } from '../../core/kernel/link-notation.ts'
import { Cidr } from '../../core/net/cidr.ts'
import { Ip } from '../../core/net/ip.ts'
import type { LinkDetail } from './decode-link.ts'
import type { Dumper } from './dump.ts'
import { Failed, KernelError, asFault } from './faults.ts'
import { listAddresses, listLinks } from './interfaces.ts'
import { setIpv6Device } from './ipv6-device.ts'
import * as message from './link-messages.ts'
import { differingTables, setParameters } from './neighbour-parameters.ts'
import type { Features } from './features.ts'
import type { Requests } from './requests.ts'
import { NLM_F, RTM } from './wire.ts'

const { OWNER_ALIAS } = message
const ADDR_GEN_MODE_NONE = 1

export interface Wire {
  readonly dumper: Dumper
  readonly requests: Requests
  readonly features: Features
}

/**
 * Makes the device equal to `spec` with the fewest writes: none at all when it is equal already. Measured on 6.18,
 * vxlan_changelink takes local (of the same family), underlay, learning and the default remote live, link up or
 * down, and refuses VNI, port and every flag (gbp, l2miss, proxy): those mean a new device with the same MAC.
 */
export async function ensureLink(wire: Wire, spec: VxlanSpec): Promise<EnsuredLink> {
  const links = await listLinks(wire.dumper)
  const existing = links.find(({ name }) => name === spec.name)
  if (!existing) return create(wire, spec, 'created')
  refuseForeign(existing, spec)
  if (!canBecome(existing, spec)) {
    await wire.requests.ask(RTM.delLink, 0, message.linkRequest(existing.index))
    return create(wire, spec, 'recreated')
  }
  const offload = await setOffload(wire, existing, spec)
  const writes = (await adjust(wire, existing, spec)) + offload.writes + (await furnish(wire, existing, spec))
  const did = writes === 0 ? 'nothing' : 'changed'
  return { index: existing.index, mac: spec.mac, did, ...offload.told }
}

/** Removes the device if it is ours. */
export async function removeLink({ dumper, requests }: Wire, name: string): Promise<void> {
  const link = (await listLinks(dumper)).find((candidate) => candidate.name === name)
  if (link?.kind === 'vxlan' && link.alias === OWNER_ALIAS)
    await requests.ask(RTM.delLink, 0, message.linkRequest(link.index))
}

function refuseForeign(link: LinkDetail, spec: VxlanSpec): void {
  const ours = link.kind === 'vxlan' && (link.alias === OWNER_ALIAS || link.vxlan?.vni === spec.vni)
  if (ours) return
  const what =
    link.kind === 'vxlan'
      ? `a vxlan device with VNI ${link.vxlan?.vni ?? 0}`
      : `a ${link.kind || 'physical'} device`
  throw new Failed(
    Fault.of(
      'link-conflict',
      `${spec.name} exists and is ${what}, not ours: remove it (ip link del ${spec.name}) or choose another name`,
    ),
  )
}

/** Whether all that differs can be changed live. */
function canBecome({ vxlan }: LinkDetail, spec: VxlanSpec): boolean {
  if (!vxlan) return false
  const familyStays = vxlan.local !== undefined && Ip.family(vxlan.local) === Ip.family(spec.local)
  return (
    vxlan.vni === spec.vni &&
    vxlan.port === spec.port &&
    vxlan.gbp === spec.gbp &&
    !vxlan.extras &&
    familyStays
  )
}

async function create(wire: Wire, spec: VxlanSpec, did: 'created' | 'recreated'): Promise<EnsuredLink> {
  const { requests, dumper } = wire
  try {
    await requests.ask(RTM.newLink, NLM_F.create | NLM_F.excl, message.createVxlan(spec))
  } catch (error) {
    const other = await occupier(wire, spec, error)
    if (other?.alias !== OWNER_ALIAS) throw other ? new Failed(occupied(other, spec)) : error
    // One of ours, under the name that the user has given up.
    await requests.ask(RTM.delLink, 0, message.linkRequest(other.index))
    await requests.ask(RTM.newLink, NLM_F.create | NLM_F.excl, message.createVxlan(spec))
  }
  const link = (await listLinks(dumper)).find(({ name }) => name === spec.name)
  if (!link) throw new Failed(Fault.of('kernel-refused', `${spec.name} vanished as soon as it was created`))
  await adjust(wire, link, spec)
  const { told } = await setOffload(wire, link, spec)
  await furnish(wire, link, spec)
  return { index: link.index, mac: spec.mac, did, ...told }
}

/** EEXIST for a name that is free: another device carries this VNI on this port (vxlan_core.c: vxlan_config_validate). */
async function occupier({ dumper }: Wire, spec: VxlanSpec, error: unknown): Promise<LinkDetail | undefined> {
  if (!(error instanceof KernelError) || error.complaint.errno !== constants.errno.EEXIST) return undefined
  const links = await listLinks(dumper)
  // A device of the other family may carry the same: it has a socket of its own.
  return links.find(
    ({ vxlan }) => vxlan?.vni === spec.vni && vxlan.port === spec.port && sameFamily(vxlan, spec),
  )
}

const sameFamily = ({ local }: VxlanFacts, spec: VxlanSpec): boolean =>
  local === undefined || Ip.family(local) === Ip.family(spec.local)

const occupied = (other: LinkDetail, spec: VxlanSpec): Fault =>
  Fault.of(
    'link-conflict',
    `${other.name} carries VNI ${spec.vni} on port ${spec.port} already: remove it (ip link del ${other.name}) or choose another VNI`,
  )

/** The device itself. Everything here is done before it is up, so that a new one says nothing on the wire. */
async function adjust({ requests }: Wire, link: LinkDetail, spec: VxlanSpec): Promise<number> {
  let writes = 0
  const { vxlan } = link
  const sameTunnel =
    vxlan?.local === spec.local &&
    vxlan.underlay === spec.underlay &&
    vxlan.learning === spec.learning &&
    vxlan.group === undefined
  if (!sameTunnel) {
    await requests.ask(RTM.newLink, 0, message.changeVxlan(link.index, spec))
    writes++
  }
  const change: message.LinkChange = {
    ...(link.mac !== spec.mac && { mac: spec.mac }),
    ...(link.mtuBytes !== spec.mtuBytes && { mtuBytes: spec.mtuBytes }),
    ...(link.alias !== OWNER_ALIAS && { alias: OWNER_ALIAS }),
    ...(link.addrGenMode !== undefined && link.addrGenMode !== ADDR_GEN_MODE_NONE && { noLinkLocal: true }),
  }
  if (Object.keys(change).length > 0) {
    await requests.ask(RTM.setLink, 0, message.changeLink(link.index, change))
    writes++
  }
  return writes
}

/** A kernel that can't do this still has a tunnel: that is told, and nothing stops for it. */
async function setOffload(
  { features }: Wire,
  { index }: LinkDetail,
  { name, checksumOffload: wanted }: VxlanSpec,
): Promise<{ readonly writes: number; readonly told?: { readonly fault: Fault } }> {
  if (wanted === undefined) return { writes: 0 }
  try {
    if ((await features.checksumOffload(index)) === wanted) return { writes: 0 }
    await features.setChecksumOffload(index, wanted)
    return { writes: 1 }
  } catch (error) {
    const fault = asFault(error, `ethtool -K ${name} ${checksumFeature} ${wanted ? 'on' : 'off'}`)
    return { writes: 0, told: { fault } }
  }
}

/** Neighbour parameters, addresses, up: in this order, since the first packet may follow at once. */
async function furnish({ requests, dumper }: Wire, link: LinkDetail, spec: VxlanSpec): Promise<number> {
  let writes = spec.family === 6 ? await setIpv6Device(spec.name) : 0
  for (const table of await differingTables(dumper, link.index)) {
    await setParameters(requests, link.index, table)
    writes++
  }
  const present = await listAddresses(dumper, link.index)
  const isWanted = (address: Cidr): boolean => spec.addresses.some((wanted) => Cidr.equals(wanted, address))
  const missing = spec.addresses.filter(
    (wanted) => !present.some(({ address }) => Cidr.equals(wanted, address)),
  )
  const surplus = present.filter(
    ({ address }) =>
      !isWanted(address) && spec.overlay.some((prefix) => Cidr.contains(prefix, address.address)),
  )
  // Added before the others go: without its last IPv4 address a device loses its neighbours (devinet.c).
  for (const address of missing) {
    await requests.ask(
      RTM.newAddress,
      NLM_F.create | NLM_F.replace,
      message.addressMessage(link.index, address),
    )
    writes++
  }
  for (const { address } of surplus) {
    await requests.ask(RTM.delAddress, 0, message.addressMessage(link.index, address))
    writes++
  }
  if (!link.up) {
    await requests.ask(RTM.setLink, 0, message.changeLink(link.index, { up: true }))
    writes++
  }
  return writes
}
