import { readFileSync } from 'node:fs'
import type { Op, Route, Row } from '../../core/kernel/rows.ts'
import type { Dumper } from './dump.ts'
import { isTunnelRoute, ROUTE_PROTOCOL } from './encode.ts'
import { HEADER_BYTES, NHA, RTM, eachAttribute, u32 } from './wire.ts'

/** A nexthop object (linux/nexthop.h: struct nhmsg). */
export interface NexthopObject {
  readonly id: number
  readonly ours: boolean
}

export function readNexthop(b: Buffer, start: number, end: number): NexthopObject | undefined {
  const at = start + HEADER_BYTES
  let id = 0
  eachAttribute(b, at + 8, end, (type, from) => {
    if (type === NHA.id) id = u32(b, from)
  })
  return id === 0 ? undefined : { id, ours: b[at + 2] === ROUTE_PROTOCOL }
}

/** So many routes of one device cost the kernel some 13 ms to search, and look as they always did. */
const PLAIN_ROUTES = 1024

/**
 * Which routes name their next hop by a nexthop object, and by which. A route that carries its next hop makes the
 * kernel compare it with those of all other routes on the device (fib_semantics.c: fib_find_info), so that the ten
 * thousandth takes a hundred times as long as the first; an object is found by its id (nexthop.c, Linux 5.3).
 *
 * Only the IPv4 routes into the tunnel do so, and only beyond the first {@link PLAIN_ROUTES}: IPv6 has no such search,
 * and objects on a link of the underlay would be gone when its cable is pulled for a moment (nexthop.c:
 * nh_netdev_event), where plain routes come back by themselves. The id is the destination's address, which is the
 * next hop's too: nothing has to be remembered.
 */
export class NexthopObjects {
  readonly #plainRoutes: number
  /** Ids that somebody else uses: a route with such a destination carries its next hop. */
  readonly #taken = new Set<number>()
  readonly #visible = isVisible()
  #known = false
  /** Tunnel routes in the kernel, more or less. */
  #routes = 0
  /** There may be objects of ours. */
  #used = false

  constructor(plainRoutes = PLAIN_ROUTES) {
    this.#plainRoutes = plainRoutes
  }

  /** Of the route's next hop; undefined where the route carries it. */
  idFor(row: Route): number | undefined {
    if (!this.#visible || this.#routes < this.#plainRoutes) return undefined
    if (row.dst.family !== 4 || !isTunnelRoute(row) || this.#taken.has(row.dst.address)) return undefined
    this.#used = true
    return row.dst.address
  }

  /** Of the object that nothing needs any more once `op` is done. */
  idAfter({ verb, row, replace }: Op): number | undefined {
    if (!this.#used || row.kind !== 'route' || row.via === undefined || row.dst.family !== 4) return undefined
    const goes = verb === 'remove' ? isTunnelRoute(row) : replace === true && !isTunnelRoute(row)
    return goes && !this.#taken.has(row.dst.address) ? row.dst.address : undefined
  }

  /** The operation is being written. */
  wrote({ verb, row, replace }: Op): void {
    if (row.kind !== 'route' || !isTunnelRoute(row)) return
    if (verb === 'remove') this.#routes = Math.max(0, this.#routes - 1)
    else if (replace !== true) this.#routes++
  }

  /** So the kernel says. */
  counted(rows: readonly Row[]): void {
    this.#routes = rows.filter((row) => row.kind === 'route' && isTunnelRoute(row)).length
  }

  /** Somebody else made or removed an object. */
  heard(type: number, { id, ours }: NexthopObject): void {
    if (type === RTM.newNexthop && !ours) this.#taken.add(id)
    else this.#taken.delete(id)
  }

  /** What was said has been lost: it is read again before the next write. */
  doubt(): void {
    this.#known = false
  }

  async learn(dumper: Dumper): Promise<void> {
    if (this.#known || !this.#visible) return
    this.#known = true
    const objects = await dumper
      .list(RTM.getNexthop, Buffer.alloc(8), readNexthop)
      .catch((error: unknown) => {
        this.doubt()
        throw error
      })
    this.#taken.clear()
    for (const { id, ours } of objects)
      if (ours) this.#used = true
      else this.#taken.add(id)
  }
}

/** Routes are told with what their object says (ip-sysctl: nexthop_compat_mode), unless somebody has switched that off. */
function isVisible(): boolean {
  try {
    return readFileSync('/proc/sys/net/ipv4/nexthop_compat_mode', 'utf8').trim() === '1'
  } catch {
    return false
  }
}
