import { constants } from 'node:os'
import type { Ip } from '../../core/net/ip.ts'
import type { NextHop } from '../../core/overlay/reach.ts'
import { KernelError } from './faults.ts'
import { routeRequest } from './link-messages.ts'
import { RawSocket, SOL_NETLINK } from './raw-socket.ts'
import {
  HEADER_BYTES, NETLINK_CAP_ACK, NETLINK_GET_STRICT_CHK, NLM_F, NLMSG_ERROR, RTA, RTM, RTN_UNICAST, eachAttribute,
  eachMessage, messageSeq, s32,
} from './wire.ts' // prettier-ignore

/** Look-ups of one datagram: their answers fit the receive buffer while nobody reads. */
const BATCH = 128
const TIMEOUT_MS = 5000

type NextHops = Map<Ip, NextHop | undefined>

interface Running {
  readonly firstSeq: number
  readonly ips: readonly Ip[]
  readonly found: NextHops
  readonly finish: (error?: Error) => void
}

/** Route look-ups (`ip route get`) for many addresses: packed questions, answers by sequence number. */
export class NextHopLookups {
  readonly #socket = new RawSocket(0)
  #seq = 1
  #running: Running | undefined
  #queue: Promise<unknown> = Promise.resolve()

  constructor() {
    const socket = this.#socket
    for (const option of [NETLINK_CAP_ACK, NETLINK_GET_STRICT_CHK]) socket.setsockopt(SOL_NETLINK, option, 1)
    socket.setRecvBufferSize(1 << 20)
    socket.unref()
    socket.onDatagram = (b, length) =>
      eachMessage(b, length, (type, start, end) => this.#take(b, { type, start, end }))
    socket.on('error', (error) => this.#running?.finish(error))
  }

  close(): void {
    this.#running?.finish(new KernelError({ errno: constants.errno.ECANCELED, text: 'closed' }))
    this.#socket.close()
  }

  ask(ips: readonly Ip[]): Promise<NextHops> {
    const run = this.#queue.then(async () => {
      const found: NextHops = new Map()
      for (let from = 0; from < ips.length; from += BATCH)
        await this.#once(ips.slice(from, from + BATCH), found)
      return found
    })
    this.#queue = run.catch(() => undefined)
    return run
  }

  #once(ips: readonly Ip[], found: NextHops): Promise<void> {
    return new Promise((resolve, reject) => {
      const finish = (error?: Error): void => {
        clearTimeout(timer)
        this.#running = undefined
        if (error) reject(error)
        else resolve()
      }
      const timer = setTimeout(
        () => finish(new KernelError({ errno: constants.errno.ETIMEDOUT, text: '' })),
        TIMEOUT_MS,
      )
      this.#running = { firstSeq: this.#seq, ips, found, finish }
      const datagram = Buffer.concat(ips.map((ip) => this.#question(ip)))
      const result = this.#socket.sendNow(datagram, datagram.length)
      if (result < 0) finish(new KernelError({ errno: -result, text: '' }))
    })
  }

  #question(ip: Ip): Buffer {
    const body = routeRequest(ip)
    const message = Buffer.alloc(HEADER_BYTES + body.length)
    message.writeUInt32LE(message.length, 0)
    message.writeUInt16LE(RTM.getRoute, 4)
    message.writeUInt16LE(NLM_F.request, 6)
    message.writeUInt32LE(this.#seq, 8)
    this.#seq = this.#seq === 0xffff_ffff ? 1 : this.#seq + 1
    body.copy(message, HEADER_BYTES)
    return message
  }

  #take(b: Buffer, { type, start, end }: { type: number; start: number; end: number }): void {
    const running = this.#running
    const nth = messageSeq(b, start) - (running?.firstSeq ?? 0)
    const ip = running?.ips[nth]
    if (!running || ip === undefined) return
    running.found.set(ip, type === NLMSG_ERROR ? undefined : readNextHop(b, start, end))
    if (nth === running.ips.length - 1) running.finish() // the kernel answers in order
  }
}

/** Ours, unreachable, blackhole: no way to another host. A next hop is a router, of either family (RFC 5549). */
function readNextHop(b: Buffer, start: number, end: number): NextHop | undefined {
  const at = start + HEADER_BYTES
  if (b[at + 7] !== RTN_UNICAST) return undefined
  let link = 0
  let routed = false as boolean
  eachAttribute(b, at + 12, end, (type, from) => {
    if (type === RTA.oif) link = s32(b, from)
    else if (type === RTA.gateway || type === RTA.via || type === RTA.multipath) routed = true
  })
  if (routed) return { kind: 'routed' }
  return link === 0 ? undefined : { kind: 'on link', link }
}
