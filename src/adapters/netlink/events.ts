import { type Observable, Subject } from 'rxjs'
import type { KernelEvent, Miss } from '../../ports/kernel.ts'
import { readAddress, readLink } from './decode-link.ts'
import { NeighMessage, hasOurMetric, neighSighting, readNeigh, readRoute } from './decode.ts'
import type { FdbEchoes } from './fdb-echoes.ts'
import { type NexthopObjects, readNexthop } from './nexthop-objects.ts'
import { ownWritesFilter } from './own-writes.ts'
import { RawSocket } from './raw-socket.ts'
import { GROUP, NLM_F, NUD, RTM, eachMessage, messageFlags, messagePort } from './wire.ts'

/** Of what waits, so much is read and decoded before anybody else gets a turn: some 500 messages. */
const GATHER_BYTES = 128 << 10
/** Room for some 12,000 misses (650 bytes each as the kernel counts) while the event loop is busy. */
const RECEIVE_BYTES = 8 << 20

export interface EventsOptions {
  readonly echoes: FdbEchoes
  readonly nexthops: NexthopObjects
  readonly receiveBufferBytes?: number | undefined
  /** NETLINK_ROUTE by default. */
  readonly protocol?: number
}

/** Everything that the kernel says unasked, on one socket. */
export class Events {
  readonly #socket: RawSocket
  #words: Int32Array = new Int32Array(0)
  readonly #subject$ = new Subject<KernelEvent>()
  readonly #misses$ = new Subject<Miss>()
  readonly #neigh = new NeighMessage()
  readonly #echoes: FdbEchoes
  readonly #nexthops: NexthopObjects
  readonly events$: Observable<KernelEvent> = this.#subject$.asObservable()
  readonly misses$: Observable<Miss> = this.#misses$.asObservable()

  constructor(options: EventsOptions) {
    this.#echoes = options.echoes
    this.#nexthops = options.nexthops
    this.#socket = new RawSocket(options.protocol ?? 0, { gatherBytes: GATHER_BYTES })
    this.#socket.setRecvBufferSize(options.receiveBufferBytes ?? RECEIVE_BYTES)
    this.#socket.onDatagram = (b, length) => this.hear(b, length)
    // Only ENOBUFS reaches a bound netlink socket; whatever else it might be, only a dump tells the truth then.
    this.#socket.on('error', () => {
      this.#nexthops.doubt()
      this.#subject$.next({ kind: 'overrun' })
    })
    for (const group of Object.values(GROUP)) this.#socket.addMembership(group)
  }

  /** What the socket with this port id writes is no news. */
  passOver(port: number): void {
    this.#socket.setFilter(ownWritesFilter(port))
  }

  /** What the socket has received; `b` is always the same. */
  hear(b: Buffer, length: number): void {
    if (this.#words.buffer !== b.buffer) this.#words = new Int32Array(b.buffer, b.byteOffset, b.length >> 2)
    const words = this.#words
    eachMessage(b, length, (type, start, end) => {
      if (!this.#isEcho(words, type, start >> 2)) this.#take(b, type, start, end)
    })
  }

  emit(event: KernelEvent): void {
    this.#subject$.next(event)
  }

  close(): void {
    this.#socket.close()
    this.#misses$.complete()
    this.#subject$.complete()
  }

  #isEcho(words: Int32Array, type: number, at: number): boolean {
    if (type !== RTM.newNeigh && type !== RTM.delNeigh) return false
    if (this.#echoes.recognise(words, at)) return true
    this.#echoes.forget(words, at)
    return false
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
      case RTM.newNexthop:
      case RTM.delNexthop: {
        this.#nexthop(b, type, start, end)
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
    if (m.dst !== undefined) this.#misses$.next({ link: m.link, ip: m.dst, probe: m.state === NUD.probe })
  }

  #neighbour(b: Buffer, isNew: boolean, start: number, end: number): void {
    const m = this.#neigh
    readNeigh(b, start, end, m)
    const seen = neighSighting(m)
    if (!seen) return
    // In the place of ours stands something else, or an address that nobody answered for: either way ours is gone.
    const verb = isNew && seen.standing ? 'add' : 'remove'
    this.#subject$.next({ kind: 'row', verb, row: seen.row, by: messagePort(b, start) })
  }

  /** With an object go the routes that name it, and nothing is said of them (fib_trie.c: fib_table_flush). */
  #nexthop(b: Buffer, type: number, start: number, end: number): void {
    const object = readNexthop(b, start, end)
    if (!object) return
    this.#nexthops.heard(type, object)
    if (type === RTM.delNexthop && object.ours) this.#subject$.next({ kind: 'overrun' })
  }

  #route(b: Buffer, isNew: boolean, start: number, end: number): void {
    const seen = readRoute(b, start, end)
    if (!seen) return
    if (!seen.standing) this.#subject$.next({ kind: 'routes' })
    if (!hasOurMetric(seen)) return
    const by = messagePort(b, start)
    if (seen.standing) this.#subject$.next({ kind: 'row', verb: isNew ? 'add' : 'remove', row: seen.row, by })
    // `ip route replace` of somebody else says only what is there now, not what it replaced (fib_trie.c); and a
    // route that goes may have kept ours out.
    else if (!isNew || (messageFlags(b, start) & NLM_F.replace) !== 0)
      this.#subject$.next({ kind: 'row', verb: 'remove', row: seen.row, by, protocol: seen.protocol })
  }
}
