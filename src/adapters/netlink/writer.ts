import { setImmediate } from 'node:timers/promises'
import { constants } from 'node:os'
import { Fault } from '../../core/fault.ts'
import { printOp } from '../../core/kernel/notation.ts'
import { replacement } from '../../core/kernel/replacement.ts'
import type { Op } from '../../core/kernel/rows.ts'
import { rowKey, sameRow, type RowKey } from '../../core/kernel/rows.ts'
import type { Refusal } from '../../ports/kernel.ts'
import { encodeDelNexthop, encodeNewNexthop, encodeOp, outgoing, requestAck } from './encode.ts'
import { type Complaint, faultOf, readComplaint } from './faults.ts'
import type { StandingRoute } from './dump.ts'
import type { FdbEchoes } from './fdb-echoes.ts'
import type { NexthopObjects } from './nexthop-objects.ts'
import { RawSocket, SOL_NETLINK } from './raw-socket.ts'
import { NETLINK_CAP_ACK, NETLINK_EXT_ACK, NLMSG_ERROR, RTM, eachMessage, messageSeq } from './wire.ts'

/** Most messages in a datagram. The kernel acts on all of them before sendto returns. */
const BATCH = 128
/**
 * How long one datagram may block the event loop. A neighbour takes some 3 µs, but the ten thousandth route through
 * one device 300: fib_semantics.c hashes a next hop by its device and walks all of that device's in search of an equal.
 */
const BLOCKING_MS = 2
const TIMEOUT_MS = 5000
/** The last sequence number that is a small integer for V8. */
const LAST_SEQ = 0x7fff_ffff
/** A refusal is some 150 bytes, of which the kernel's words are most. */
const LONGEST_REPLY = 4096
const GATHER_BYTES = 64 << 10
const { errno: E } = constants

export interface WriterOptions {
  readonly echoes: FdbEchoes
  readonly nexthops: NexthopObjects
  /** The routes of whatever protocol that stand in the kernel now. */
  readonly standingRoutes: () => Promise<readonly StandingRoute[]>
  /** A row of {@link Writer.answer} was refused. */
  readonly onRefused: (refusal: Refusal) => void
  /** Refusals of answers may have been lost. */
  readonly onLost: () => void
  /** On a stage: whatever is written goes nowhere and is taken for granted. */
  readonly silent?: boolean
}

interface Batch {
  readonly firstSeq: number
  readonly ops: readonly Op[]
  readonly complaints: Map<Op, Complaint>
  answered: boolean
  onAnswered: (() => void) | undefined
}

/** Writes rows: many messages in a datagram, an acknowledgement for the last, errors by sequence number. */
export class Writer {
  readonly #socket = new RawSocket(0, { receiveBytes: LONGEST_REPLY, gatherBytes: GATHER_BYTES })
  readonly #outgoing = outgoing(BATCH)
  readonly #options: WriterOptions
  #seq = 1
  /** Bytes of the datagram that {@link #put} made last. */
  #length = 0
  #batchSize = BATCH
  #batch: Batch | undefined
  #callers = 0
  #queue: Promise<unknown> = Promise.resolve()
  #yieldedAt = 0
  /** The last answers by `seq % size`: refusals come within the turn, so old ones need not be kept. */
  readonly #answers: { seq: number; op: Op }[] = []
  readonly port: number

  constructor(options: WriterOptions) {
    this.#options = options
    const socket = this.#socket
    socket.setsockopt(SOL_NETLINK, NETLINK_EXT_ACK, 1)
    socket.setsockopt(SOL_NETLINK, NETLINK_CAP_ACK, 1)
    socket.setRecvBufferSize(1 << 20) // room for a refusal of every message of some answers and a batch
    socket.unref()
    socket.onDatagram = (b, length) =>
      eachMessage(b, length, (type, start, end) => {
        if (type === NLMSG_ERROR) this.#settle(messageSeq(b, start), readComplaint(b, start, end))
      })
    // Which refusals were lost nobody knows, so the whole batch counts as refused; the next dump tells.
    socket.on('error', ({ errno }) => {
      this.#fail(Math.abs(errno))
      options.onLost()
    })
    this.port = socket.address().port
  }

  /** Operations of the next datagram: as many as the kernel has lately worked through in time. */
  get room(): number {
    return this.#batchSize
  }

  close(): void {
    this.#socket.close()
  }

  /**
   * In the given order; resolves with what was refused. Up to {@link room} operations are written on the spot, and
   * their acknowledgement is there when sending returns: the event loop needs no turn for it. Whoever writes datagram
   * after datagram waits for a turn every {@link BLOCKING_MS} nevertheless, so that misses and timers get theirs.
   */
  apply(ops: readonly Op[]): Promise<readonly Refusal[]> {
    const run = this.#callers === 0 ? this.#apply(ops) : this.#queue.then(() => this.#apply(ops))
    this.#callers++
    this.#queue = run.then(
      () => this.#callers--,
      () => this.#callers--,
    )
    return run
  }

  /** Sends now. No acknowledgement is asked for: only a refusal is answered, and reported as an event. */
  answer(ops: readonly Op[]): void {
    for (let from = 0; from < ops.length; from += BATCH) {
      const chunk = ops.slice(from, from + BATCH)
      const firstSeq = this.#put(chunk, false)
      chunk.forEach((op, i) => (this.#answers[(firstSeq + i) % ANSWERS_KEPT] = { seq: firstSeq + i, op }))
      const result = this.#send()
      if (result < 0)
        queueMicrotask(() => chunk.forEach((op) => this.#refuseAnswer(op, { errno: -result, text: '' })))
    }
  }

  /** Encodes one datagram; the sequence number of its first message, which counts on without a gap. */
  #put(ops: readonly Op[], acknowledged: boolean): number {
    const { words } = this.#outgoing
    const { echoes, nexthops } = this.#options
    if (this.#seq > LAST_SEQ - BATCH) this.#seq = 1
    const firstSeq = this.#seq
    let [at, last] = [0, 0]
    for (const op of ops) {
      const seq = this.#seq++
      const { row } = op
      if (row.kind !== 'route') {
        last = at
        at = encodeOp(words, at, op, { seq })
        if (row.kind === 'fdb') echoes.wrote(words, last)
        continue
      }
      const nexthop = op.verb === 'add' ? nexthops.idFor(row) : undefined
      if (nexthop !== undefined) at = encodeNewNexthop(words, at, row, { seq, id: nexthop })
      last = at
      at = encodeOp(words, at, op, { seq, nexthop })
      nexthops.wrote(op)
      const id = nexthops.idAfter(op)
      if (id === undefined) continue
      last = at
      at = encodeDelNexthop(words, at, { seq, id })
    }
    if (acknowledged) requestAck(words, last)
    this.#length = at * 4
    return firstSeq
  }

  async #apply(wanted: readonly Op[]): Promise<readonly Refusal[]> {
    const complaints = new Map<Op, Complaint>()
    const ops = wanted.some(({ replace }) => replace) ? wanted.flatMap(replacement) : wanted
    for (let from = 0; from < ops.length;) {
      const batch = ops.length <= this.#batchSize ? ops : ops.slice(from, from + this.#batchSize)
      from += batch.length
      const late = this.#write(batch, complaints)
      if (late) await late
      if (performance.now() - this.#yieldedAt < BLOCKING_MS) continue
      await setImmediate()
      this.#yieldedAt = performance.now()
    }
    if (complaints.size === 0) return []
    if (ops !== wanted) for (const op of ops) if (!wanted.includes(op)) complaints.delete(op) // nobody waits for those
    return this.#judge(complaints, (again) => this.#apply(again))
  }

  /** Writes one datagram; nothing if it was acknowledged at once. */
  #write(ops: readonly Op[], complaints: Map<Op, Complaint>): Promise<void> | undefined {
    const batch: Batch = {
      firstSeq: this.#put(ops, true),
      ops,
      complaints,
      answered: false,
      onAnswered: undefined,
    }
    this.#batch = batch
    const before = performance.now()
    const result = this.#send()
    this.#adapt(performance.now() - before)
    if (result < 0) this.#fail(-result)
    while (!batch.answered && this.#socket.receiveNow());
    if (batch.answered) return undefined
    return new Promise((resolve) => {
      // One wrong length and the kernel drops the rest of the datagram in silence: never wait for ever.
      const timer = setTimeout(() => this.#fail(E.ETIMEDOUT), TIMEOUT_MS)
      batch.onAnswered = () => {
        clearTimeout(timer)
        resolve()
      }
    })
  }

  #send(): number {
    return this.#options.silent ? 0 : this.#socket.sendNow(this.#outgoing.bytes, this.#length)
  }

  #adapt(blockedMs: number): void {
    if (blockedMs > BLOCKING_MS) this.#batchSize = Math.max(8, this.#batchSize >> 1)
    else if (blockedMs < BLOCKING_MS / 4) this.#batchSize = Math.min(BATCH, this.#batchSize << 1)
  }

  #settle(seq: number, complaint: Complaint): void {
    const batch = this.#batch
    const op = batch?.ops[seq - batch.firstSeq]
    if (batch && op) {
      // Of a route and its nexthop object, the one that is refused first says why the other one is.
      if (!isAsWanted(op, complaint) && !batch.complaints.has(op)) batch.complaints.set(op, complaint)
      const isLast = seq === batch.firstSeq + batch.ops.length - 1
      if (isLast && complaint.about !== RTM.newNexthop) this.#answered(batch) // its route follows
      return
    }
    const answer = this.#answers[seq % ANSWERS_KEPT]
    if (answer?.seq === seq && !isAsWanted(answer.op, complaint)) this.#refuseAnswer(answer.op, complaint)
  }

  #fail(errno: number): void {
    const batch = this.#batch
    if (!batch) return
    for (const op of batch.ops) if (!batch.complaints.has(op)) batch.complaints.set(op, { errno, text: '' })
    this.#answered(batch)
  }

  #answered(batch: Batch): void {
    this.#batch = undefined
    batch.answered = true
    batch.onAnswered?.()
  }

  #refuseAnswer(op: Op, complaint: Complaint): void {
    this.#judge(new Map([[op, complaint]]), (again) => this.apply(again)).then(
      (refusals) => refusals.forEach(this.#options.onRefused),
      () => this.#options.onRefused({ op, fault: faultOf(complaint, printOp(op, `#${op.row.link}`)) }),
    )
  }

  /** A refused route: is it ours already, or is somebody else's in its place? Asked once for all of them. */
  async #judge(refused: ReadonlyMap<Op, Complaint>, write: Writer['apply']): Promise<readonly Refusal[]> {
    const unclear = [...refused].some(([op, complaint]) => mayBeOccupied(op, complaint))
    const standingByKey = new Map<RowKey, StandingRoute>()
    // Routes that can't be told apart now are tried again soon.
    const routes = unclear ? await this.#options.standingRoutes().catch(() => undefined) : []
    for (const route of routes ?? []) standingByKey.set(rowKey(route.row), route)
    const refusals: Refusal[] = []
    const takenOver: Op[] = []
    for (const [op, complaint] of refused) {
      const about = printOp(op, `#${op.row.link}`)
      if (!mayBeOccupied(op, complaint)) {
        refusals.push({ op, fault: faultOf(complaint, about) })
        continue
      }
      const standing = standingByKey.get(rowKey(op.row))
      const same = standing && sameRow(standing.row, op.row)
      if (!routes)
        refusals.push({ op, fault: Fault.of('kernel-busy', `${about}: the routes could not be read`) })
      else if (same && !standing.ours) takenOver.push({ ...op, replace: true })
      else if (standing ? !standing.ours : complaint.errno === E.EEXIST)
        refusals.push({ op, fault: Fault.of('route-conflict', `${about}: ${OCCUPIED}`) })
      else if (complaint.errno !== E.EEXIST) refusals.push({ op, fault: faultOf(complaint, about) })
      else if (!same) refusals.push({ op, fault: faultOf(complaint, `${about}: ${STALE}`) })
    }
    // What forwards just as ours would, as flannel's routes on its device do: only the protocol changes.
    return takenOver.length === 0 ? refusals : [...refusals, ...(await write(takenOver))]
  }
}

const ANSWERS_KEPT = 4096
const OCCUPIED = 'a route of another protocol stands there; remove it, or change the overlay network'
const STALE = 'a route of ours with another next hop stands there'

/**
 * What the kernel says where a route stands in the place of ours. IPv6 looks at the next hop first, which lies in that
 * subnet and so behind that route's device (net/ipv6/route.c, ip6_route_check_nh_onlink): EINVAL, which says less.
 */
const mayBeOccupied = ({ row }: Op, { errno }: Complaint): boolean =>
  row.kind === 'route' && (errno === E.EEXIST || (errno === E.EINVAL && row.dst.family === 6))

/** A refusal that says that all is as it should be. */
function isAsWanted(op: Op, { errno, about }: Complaint): boolean {
  if (errno === 0) return true
  if (about === RTM.newNexthop) return errno === E.EEXIST
  if (about === RTM.delNexthop) return true // it goes with its device, or stays in nobody's way
  if (op.verb === 'remove')
    // ENODEV: rows go with their device.
    return errno === E.ENOENT || errno === E.ESRCH || errno === E.ENODEV
  return errno === E.EEXIST && op.row.kind !== 'route'
}
