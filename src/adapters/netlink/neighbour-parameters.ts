import { AttrStream, putString, putU32 } from './package.ts'
import type { Dumper } from './dump.ts'
import type { Requests } from './requests.ts'
import { AF_INET, AF_INET6, HEADER_BYTES, RTM, eachAttribute, readString, u32 } from './wire.ts'

/** neighbour.h */
const NDTA = { name: 1, parms: 6 } as const
const NDTPA = { ifindex: 1, app: 9, ucast: 10, mcast: 11 } as const

/**
 * Who is asked for an unknown neighbour: the agent three times, a second apart, and nobody on the wire. An ARP
 * request would go nowhere (the FDB has no entry for broadcast), and only delay the EHOSTUNREACH of a stranger.
 */
const wanted: ReadonlyMap<number, number> = new Map([
  [NDTPA.app, 3],
  [NDTPA.ucast, 0],
  [NDTPA.mcast, 0],
])

const tables = [
  { name: 'arp_cache', family: AF_INET },
  { name: 'ndisc_cache', family: AF_INET6 },
] as const

/** The tables whose parameters for `link` differ from the wanted ones; a family that is off has none. */
export async function differingTables(dumper: Dumper, link: number): Promise<readonly string[]> {
  const seen = await dumper.list(RTM.getNeighTable, Buffer.alloc(4), (b, start, end) => {
    let name = ''
    let right = 0
    let index = 0
    eachAttribute(b, start + HEADER_BYTES + 4, end, (type, from, length) => {
      if (type === NDTA.name) name = readString(b, from, length)
      if (type !== NDTA.parms) return
      eachAttribute(b, from, from + length, (parameter, at) => {
        if (parameter === NDTPA.ifindex) index = u32(b, at)
        else if (wanted.get(parameter) === u32(b, at)) right++
      })
    })
    return index === link && right !== wanted.size ? name : undefined
  })
  return tables.map(({ name }) => name as string).filter((name) => seen.includes(name))
}

/** RTM_SETNEIGHTBL: CAP_NET_ADMIN suffices, and a read-only /proc/sys is no obstacle. */
export async function setParameters(requests: Requests, link: number, table: string): Promise<void> {
  const parameters = new AttrStream()
  parameters.push(NDTPA.ifindex, putU32(link))
  for (const [parameter, value] of wanted) parameters.push(parameter, putU32(value))
  const out = new AttrStream()
  out.push(NDTA.name, putString(table))
  out.push(NDTA.parms, Buffer.concat(parameters.bufs))
  const body = Buffer.alloc(4)
  body[0] = tables.find(({ name }) => name === table)?.family ?? 0
  await requests.ask(RTM.setNeighTable, 0, Buffer.concat([body, ...out.bufs]))
}
