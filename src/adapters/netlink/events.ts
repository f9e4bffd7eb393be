import { type Observable, Subject } from 'rxjs'
import type { Ip } from '../../core/net/ip.ts'
import type { KernelEvent } from '../../ports/kernel.ts'
import { readAddress, readLink } from './decode-link.ts'
import { NeighMessage, hasOurMetric, neighSighting, readNeigh, readRoute } from './decode.ts'
import type { FdbEchoes } from './fdb-echoes.ts'
import { RawSocket } from './raw-socket.ts'
import { AF_BRIDGE, GROUP, NLM_F, NUD, RTM, eachMessage, messageFlags, messagePort } from './wire.ts'

/** Room for some 12,000 misses (650 bytes each as the kernel counts) while the event loop is busy. */
const RECEIVE_BYTES = 8 << 20

export interface EventsOptions {
  readonly echoes: FdbEchoes
  readonly receiveBufferBytes?: number
}

/** Everything that the kernel says unasked, on one socket. */
export class Events {
  readonly #socket = new RawSocket(0)
  readonly #subject$ = new Subject<KernelEvent>()
  readonly #neigh = new NeighMessage()
  readonly #echoes: FdbEchoes
  /** Addresses whose rows we removed: neighbour.c tells it in two messages, the second without our port id. */
  readonly #leaving = new Set<Ip>()
  /** Port id of the socket that we write with: its consequences are no news. */
  ownPort = -1
  readonly events$: Observable<KernelEvent> = this.#subject$.asObservable()

  constructor(options: EventsOptions) {
    this.#echoes = options.echoes
    this.#socket.setRecvBufferSize(options.receiveBufferBytes ?? RECEIVE_BYTES)
    this.#socket.onDatagram = (b, length, fromPort) => {
      if (fromPort === 0) eachMessage(b, length, (type, start, end) => this.#take(b, type, start, end))
    }
    // Only ENOBUFS reaches a bound netlink socket; whatever else it might be, only a dump tells the truth then.
    this.#socket.on('error', () => this.#subject$.next({ kind: 'overrun' }))
    for (const group of Object.values(GROUP)) this.#socket.addMembership(group)
  }

  emit(event: KernelEvent): void {
    this.#subject$.next(event)
  }

  close(): void {
    this.#socket.close()
    this.#subject$.complete()
  }

  #take(b: Buffer, type: number, start: number, end: number): void {
    switch (type) {
      case RTM.getNeigh: {
        this.#miss(b, start, end)
        return
      }
      case RTM.newNeigh:
      case RTM.delNeigh: {
        this.#neighbour(b, type === RTM.newNeigh, start, end)
        return
      }
      case RTM.newRoute:
      case RTM.delRoute: {
        this.#route(b, type === RTM.newRoute, start, end)
        return
      }
      case RTM.newLink:
      case RTM.delLink: {
        const link = readLink(b, start, end)
        if (link) this.#subject$.next({ kind: 'link', verb: type === RTM.newLink ? 'add' : 'remove', link })
        return
      }
      case RTM.newAddress:
      case RTM.delAddress: {
        const address = readAddress(b, start, end)
        const verb = type === RTM.newAddress ? 'add' : 'remove'
        if (address) this.#subject$.next({ kind: 'address', verb, address })
      }
    }
  }

  #miss(b: Buffer, start: number, end: number): void {
    // Without NLM_F_REQUEST it is the vxlan driver's own miss (proxy, l2miss), which we never switch on.
    if ((messageFlags(b, start) & NLM_F.request) === 0) return
    const m = this.#neigh
    readNeigh(b, start, end, m)
    if (m.dst !== undefined)
      this.#subject$.next({ kind: 'miss', link: m.link, ip: m.dst, probe: m.state === NUD.probe })
  }

  #neighbour(b: Buffer, isNew: boolean, start: number, end: number): void {
    const m = this.#neigh
    readNeigh(b, start, end, m)
    const seen = neighSighting(m)
    if (!seen) return
    const by = messagePort(b, start)
    // In the place of ours stands something else, or an address that nobody answered for: either way ours is gone.
    const verb = isNew && seen.standing ? 'add' : 'remove'
    if (m.family === AF_BRIDGE) {
      if (seen.row.kind === 'fdb' && this.#echoes.recognise(verb, seen.row)) return
    } else if (this.#isOwn(m.dst, by, isNew, seen.standing)) return
    this.#subject$.next({ kind: 'row', verb, row: seen.row, by })
  }

  #isOwn(ip: Ip | undefined, by: number, isNew: boolean, standing: boolean): boolean {
    if (ip === undefined) return false
    const own = by === this.ownPort
    if (isNew && own && !standing)
      this.#leaving.add(ip) // FAILED with our port id; DELNEIGH with none follows
    else if (this.#leaving.delete(ip) && !isNew) return true
    return own
  }

  #route(b: Buffer, isNew: boolean, start: number, end: number): void {
    const by = messagePort(b, start)
    if (by === this.ownPort) return
    const seen = readRoute(b, start, end)
    if (!seen || !hasOurMetric(seen)) return
    if (seen.standing) this.#subject$.next({ kind: 'row', verb: isNew ? 'add' : 'remove', row: seen.row, by })
    // `ip route replace` of somebody else says only what is there now, not what it replaced (fib_trie.c); and a
    // route that goes may have kept ours out.
    else if (!isNew || (messageFlags(b, start) & NLM_F.replace) !== 0)
      this.#subject$.next({ kind: 'row', verb: 'remove', row: seen.row, by })
  }
}
