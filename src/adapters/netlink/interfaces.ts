import { constants } from 'node:os'
import type { InterfaceAddress } from '../../core/kernel/link.ts'
import type { Ip } from '../../core/net/ip.ts'
import type { Interfaces } from '../../ports/kernel.ts'
import { type LinkDetail, readAddress, readLink } from './decode-link.ts'
import { readRoute } from './decode.ts'
import { type Dumper, listRoutes } from './dump.ts'
import { KernelError } from './faults.ts'
import { linkRequest, routeRequest } from './link-messages.ts'
import type { Requests } from './requests.ts'
import { AF_INET, AF_INET6, HEADER_BYTES, RTA, RTM, eachAttribute, readIp, s32 } from './wire.ts'

export const listLinks = (dumper: Dumper): Promise<LinkDetail[]> =>
  dumper.list(RTM.getLink, linkRequest(0), readLink)

/** Of one device, or of all. */
export async function listAddresses(dumper: Dumper, link = 0): Promise<InterfaceAddress[]> {
  const body = Buffer.alloc(8) // family 0: both
  const addresses = await dumper.list(RTM.getAddress, body, readAddress)
  return link === 0 ? addresses : addresses.filter((address) => address.link === link)
}

export async function interfaces(dumper: Dumper): Promise<Interfaces> {
  const links = await listLinks(dumper)
  const addresses = await listAddresses(dumper)
  const defaultLink = await defaultLinkOf(dumper, AF_INET)
  const defaultLink6 = await defaultLinkOf(dumper, AF_INET6)
  return { links, addresses, defaultLink, defaultLink6 }
}

async function defaultLinkOf(dumper: Dumper, family: number): Promise<number | undefined> {
  const defaults = await listRoutes(dumper, { family, protocol: 0 }, (b, start, end) =>
    b[start + HEADER_BYTES + 1] === 0 ? readRoute(b, start, end) : undefined,
  )
  return defaults.sort((a, b) => a.metric - b.metric)[0]?.row.link
}

const noWay: ReadonlySet<number> = new Set([
  constants.errno.ENETUNREACH,
  constants.errno.EHOSTUNREACH,
  constants.errno.ENODEV,
])

/** The device and source address of a packet to `destination`; nothing where there is no way. */
export async function routeTo(
  requests: Requests,
  destination: Ip,
): Promise<{ link: number; source: Ip | undefined } | undefined> {
  try {
    const b = await requests.ask(RTM.getRoute, 0, routeRequest(destination))
    if (!b) return undefined
    let link = 0
    let source: Ip | undefined
    eachAttribute(b, HEADER_BYTES + 12, b.length, (type, at, length) => {
      if (type === RTA.oif) link = s32(b, at)
      else if (type === RTA.prefsrc) source = readIp(b, at, length)
    })
    return link === 0 ? undefined : { link, source }
  } catch (error) {
    // A blackhole or prohibit route answers EINVAL or EACCES: that is no way either, but somebody's will; report it.
    if (error instanceof KernelError && noWay.has(error.complaint.errno)) return undefined
    throw error
  }
}
