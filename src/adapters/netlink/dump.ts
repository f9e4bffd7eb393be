import { constants } from 'node:os'
import type { Row, Route } from '../../core/kernel/rows.ts'
import type { Mac } from '../../core/net/mac.ts'
import type { Family } from '../../core/net/ip.ts'
import type { Dump, Kernel } from '../../ports/kernel.ts'
import { NeighMessage, hasOurMetric, neighSighting, readNeigh, readRoute } from './decode.ts'
import { ROUTE_PROTOCOL } from './encode.ts'
import { KernelError, readComplaint } from './faults.ts'
import { RawSocket, SOL_NETLINK } from './raw-socket.ts'
import {
  AF_BRIDGE, AF_INET, AF_INET6, HEADER_BYTES, NDA, NETLINK_EXT_ACK, NETLINK_GET_STRICT_CHK, NLMSG_DONE, NLMSG_ERROR,
  NLM_F, RTM, RTN_UNICAST, RT_TABLE_MAIN, eachMessage, messageFlags, messageSeq,
} from './wire.ts' // prettier-ignore

const { errno: E } = constants
const TIMEOUT_MS = 5000
const ATTEMPTS = 10
/** USER_HZ, in which the kernel reports ages whatever its own HZ (jiffies_to_clock_t): 100 everywhere but on alpha. */
const MS_PER_TICK = 10

/** Takes one message of a dump; its bytes are valid until it returns. */
export type Visit = (b: Buffer, start: number, end: number, type: number) => void

interface Running {
  readonly seq: number
  readonly visit: Visit
  readonly finish: (error?: Error) => void
  readonly timer: NodeJS.Timeout
  interrupted: boolean
}

/** Reads whole tables, one at a time: a second dump on the same socket is EBUSY (af_netlink.c). */
export class Dumper {
  readonly #socket = new RawSocket(0)
  #seq = 1
  #running: Running | undefined
  #queue: Promise<unknown> = Promise.resolve()

  constructor() {
    const socket = this.#socket
    socket.setsockopt(SOL_NETLINK, NETLINK_EXT_ACK, 1)
    // Filters count only under strict checking; everything is filtered here once more for kernels before 4.20.
    socket.setsockopt(SOL_NETLINK, NETLINK_GET_STRICT_CHK, 1)
    socket.unref()
    socket.onDatagram = (b, length) => this.#take(b, length)
    socket.on('error', (error) => this.#running?.finish(error))
  }

  close(): void {
    this.#running?.finish(new KernelError({ errno: E.ECANCELED, text: 'closed' }))
    this.#socket.close()
  }

  /** Dumps with `body` behind the header; again when the table changed under way. `begin` starts each attempt afresh. */
  dump<T>(type: number, body: Buffer, begin: () => { visit: Visit; result: T }): Promise<T> {
    const attempt = async (left: number): Promise<T> => {
      const { visit, result } = begin()
      const interrupted = await this.#once(type, body, visit)
      if (!interrupted) return result
      if (left === 0) throw new KernelError({ errno: E.EINTR, text: 'the table changed during every dump' })
      return attempt(left - 1)
    }
    const run = this.#queue.then(() => attempt(ATTEMPTS))
    this.#queue = run.catch(() => undefined)
    return run
  }

  #once(type: number, body: Buffer, visit: Visit): Promise<boolean> {
    return new Promise((resolve, reject) => {
      const finish = (error?: Error): void => {
        const interrupted = this.#running?.interrupted ?? false
        clearTimeout(timer)
        this.#running = undefined
        if (error) reject(error)
        else resolve(interrupted)
      }
      const timer = setTimeout(() => finish(new KernelError({ errno: E.ETIMEDOUT, text: '' })), TIMEOUT_MS)
      const seq = this.#seq++
      this.#running = { seq, visit, finish, timer, interrupted: false }
      const request = Buffer.alloc(HEADER_BYTES + body.length)
      request.writeUInt32LE(request.length, 0)
      request.writeUInt16LE(type, 4)
      request.writeUInt16LE(NLM_F.request | NLM_F.dump, 6)
      request.writeUInt32LE(seq, 8)
      body.copy(request, HEADER_BYTES)
      const result = this.#socket.sendNow(request, request.length)
      if (result < 0) finish(new KernelError({ errno: -result, text: '' }))
    })
  }

  #take(b: Buffer, length: number): void {
    this.#running?.timer.refresh()
    eachMessage(b, length, (type, start, end) => {
      const running = this.#running
      if (!running || messageSeq(b, start) !== running.seq) return
      if ((messageFlags(b, start) & NLM_F.dumpInterrupted) !== 0) running.interrupted = true
      if (type !== NLMSG_ERROR && type !== NLMSG_DONE) {
        running.visit(b, start, end, type)
        return
      }
      const complaint = readComplaint(b, start, end)
      running.finish(complaint.errno === 0 ? undefined : new KernelError(complaint))
    })
  }

  /** Dumps into a list of what `decode` makes of each message. */
  list<T>(
    type: number,
    body: Buffer,
    decode: (b: Buffer, start: number, end: number) => T | undefined,
  ): Promise<T[]> {
    return this.dump(type, body, () => {
      const result: T[] = []
      const visit: Visit = (b, start, end) => {
        const item = decode(b, start, end)
        if (item !== undefined) result.push(item)
      }
      return { visit, result }
    })
  }
}

/** Everything of ours in one family: neighbours and FDB of its device, and the routes of our protocol. */
export async function dumpOurs(
  dumper: Dumper,
  { family, link }: Parameters<Kernel['dump$']>[0],
): Promise<Dump> {
  const routes = await ourRoutes(dumper, family)
  if (link === undefined) return { rows: routes, idleMsByMac: new Map() }
  const fdb = await dumpFdb(dumper, link)
  const v4 = await dumpNeighbours(dumper, AF_INET, link)
  const v6 = await dumpNeighbours(dumper, AF_INET6, link)
  return { ...fdb, rows: [...fdb.rows, ...v4, ...v6, ...routes] }
}

function dumpFdb(dumper: Dumper, link: number): Promise<Dump> {
  const body = Buffer.alloc(12)
  body[0] = AF_BRIDGE
  body.writeInt32LE(link, 4)
  return dumper.dump(RTM.getNeigh, body, () => {
    const m = new NeighMessage()
    const rows: Row[] = []
    const idleMsByMac = new Map<Mac, number>()
    const visit: Visit = (b, start, end) => {
      readNeigh(b, start, end, m)
      const seen = m.link === link && m.family === AF_BRIDGE ? neighSighting(m) : undefined
      if (!seen?.standing || seen.row.kind !== 'fdb') return
      rows.push(seen.row)
      idleMsByMac.set(seen.row.mac, m.usedTicks * MS_PER_TICK)
    }
    // One for each MAC: vxlan_core.c (vxlan_fdb_update_existing) appends a second way to group and zero addresses only.
    return { visit, result: { rows, idleMsByMac } }
  })
}

function dumpNeighbours(dumper: Dumper, family: number, link: number): Promise<Row[]> {
  const body = Buffer.alloc(20)
  body[0] = family
  body.writeUInt32LE(8 | (NDA.ifindex << 16), 12) // neighbour.c refuses a device in the header, FDB dumps want it there
  body.writeInt32LE(link, 16)
  const m = new NeighMessage()
  return dumper.list(RTM.getNeigh, body, (b, start, end) => {
    readNeigh(b, start, end, m)
    const seen = m.link === link && m.family === family ? neighSighting(m) : undefined
    return seen?.standing ? seen.row : undefined
  })
}

/** The routes of our protocol in the main table. */
export const ourRoutes = (dumper: Dumper, family: Family): Promise<Route[]> => {
  const decode = (b: Buffer, start: number, end: number): Route | undefined => {
    const seen = readRoute(b, start, end)
    return seen?.standing && hasOurMetric(seen) ? seen.row : undefined
  }
  return listRoutes(dumper, { family: family === 4 ? AF_INET : AF_INET6, protocol: ROUTE_PROTOCOL }, decode)
}

/** A route that stands where one of ours may belong, and whether it has our protocol. */
export interface StandingRoute {
  readonly row: Route
  readonly ours: boolean
}

/** Routes of the metric that ours have, of whatever protocol. */
export const standingRoutes = async (dumper: Dumper): Promise<StandingRoute[]> => {
  const decode = (b: Buffer, start: number, end: number): StandingRoute | undefined => {
    const seen = readRoute(b, start, end)
    return seen && hasOurMetric(seen) ? { row: seen.row, ours: seen.standing } : undefined
  }
  const v4 = await listRoutes(dumper, { family: AF_INET, protocol: 0 }, decode)
  return v4.concat(await listRoutes(dumper, { family: AF_INET6, protocol: 0 }, decode))
}

export const allOurRoutes = async (dumper: Dumper): Promise<Route[]> =>
  (await ourRoutes(dumper, 4)).concat(await ourRoutes(dumper, 6))

/** Unicast routes of the main table; protocol 0 is any. */
export async function listRoutes<T>(
  dumper: Dumper,
  filter: { readonly family: number; readonly protocol: number },
  decode: (b: Buffer, start: number, end: number) => T | undefined,
): Promise<T[]> {
  const body = Buffer.alloc(12)
  body[0] = filter.family
  body[4] = RT_TABLE_MAIN
  body[5] = filter.protocol
  body[7] = RTN_UNICAST
  const sameFamily = (b: Buffer, start: number, end: number): T | undefined =>
    b[start + HEADER_BYTES] === filter.family ? decode(b, start, end) : undefined
  try {
    return await dumper.list(RTM.getRoute, body, sameFamily)
  } catch (error) {
    // A namespace that never had a route has no main table yet (fib_frontend.c: "FIB table does not exist").
    if (error instanceof KernelError && error.complaint.errno === E.ENOENT) return []
    throw error
  }
}
