import { EventEmitter } from 'node:events'
import { type ErrnoException, type Handle, errnoException, native } from './native.ts'

export interface RawSocketOptions {
  /** Port id to bind to; the kernel chooses by default. */
  readonly port?: number
  /** Longest datagram that can be received whole. Dumps come in up to 32 KiB (af_netlink.c: netlink_recvmsg). */
  readonly receiveBytes?: number
  /**
   * Room for what waits, to be had in one call as if it were a single datagram: what the kernel says, and of nobody
   * else. By default each datagram is a call of its own.
   */
  readonly gatherBytes?: number
}

export interface MessageInfo {
  /** Sender's port id; 0 is the kernel. */
  readonly port: number
  readonly groups: number
  /** Set if the datagram was longer than the buffer: its true length. */
  readonly truncated?: number
}

/** `struct sock_filter` of linux/filter.h; `yes` and `no` are how many instructions a jump leaves out. */
export interface FilterInstruction {
  readonly code: number
  readonly k: number
  readonly yes?: number
  readonly no?: number
}

/**
 * The fast path: `length` bytes of `buffer` are one datagram, valid until the call returns; the next datagram
 * overwrites them. Keep a copy, never a slice.
 */
export type DatagramListener = (buffer: Buffer, length: number, fromPort: number) => void

interface EventMap {
  message: [message: Buffer, info: MessageInfo]
  truncatedMessage: [message: Buffer, info: MessageInfo]
  error: [error: ErrnoException]
  close: []
}

const SOL_SOCKET = 1
const SO_SNDBUF = 7
const SO_RCVBUF = 8
const SO_SNDBUFFORCE = 32
const SO_RCVBUFFORCE = 33
export const SOL_NETLINK = 270
const NETLINK_ADD_MEMBERSHIP = 1
const NETLINK_DROP_MEMBERSHIP = 2

/**
 * A netlink socket with the interface of the `netlink` package's `RawNetlinkSocket`, so that the package's
 * `NetlinkSocket` runs on top of it. Unlike the package's, it survives an overrun (ENOBUFS is an `error` event like
 * any other and the socket stays usable), a listener that throws (`uncaughtException`), and sends before it returns.
 */
export class RawSocket extends EventEmitter<EventMap> {
  /** Set, it gets every whole datagram and `message` is not emitted. */
  onDatagram: DatagramListener | undefined
  readonly #handle: Handle
  readonly #buffer: Buffer

  constructor(protocol: number, options: RawSocketOptions = {}) {
    super()
    const longest = options.receiveBytes ?? 65_536
    const buffer = Buffer.allocUnsafeSlow(Math.max(longest, options.gatherBytes ?? 0))
    const handle = native().open(
      protocol,
      options.port ?? 0,
      buffer,
      (length, port, groups) => this.#receive(buffer, length, { port, groups }),
      (errno) => this.emit('error', errnoException('recvfrom', errno)),
      longest,
    )
    if (typeof handle === 'number') throw errnoException('bind', handle)
    this.#handle = handle
    this.#buffer = buffer
  }

  #receive(buffer: Buffer, length: number, info: MessageInfo): void {
    if (length > buffer.length) {
      this.emit('truncatedMessage', Buffer.from(buffer), { ...info, truncated: length })
    } else if (this.onDatagram) {
      this.onDatagram(buffer, length, info.port)
    } else {
      this.emit('message', Buffer.from(buffer.subarray(0, length)), info)
    }
  }

  /** Hands the first `length` bytes to the kernel, which acts on them before this returns. 0 or a negative errno. */
  sendNow(bytes: Uint8Array, length: number): number {
    return native().send(this.#handle, bytes, length)
  }

  /** Hands what waits to {@link onDatagram} before this returns; whether there was anything. For gathering sockets. */
  receiveNow(): boolean {
    const length = native().receive(this.#handle)
    if (length > 0) this.onDatagram?.(this.#buffer, length, 0)
    return length > 0
  }

  /** A classic BPF program: what it returns 0 for is never queued here (socket(7), SO_ATTACH_FILTER). */
  setFilter(program: readonly FilterInstruction[]): void {
    const bytes = Buffer.alloc(program.length * 8)
    program.forEach(({ code, k, yes = 0, no = 0 }, i) => {
      bytes.writeUInt16LE(code, i * 8)
      bytes[i * 8 + 2] = yes
      bytes[i * 8 + 3] = no
      bytes.writeUInt32LE(k, i * 8 + 4)
    })
    this.#check('setsockopt', native().setFilter(this.#handle, bytes))
  }

  /** As the package's; `callback` is called in a later turn. */
  send(
    message: Uint8Array | Uint8Array[],
    options?: { port?: number; groups?: number },
    callback?: (error?: ErrnoException) => void,
  ): void {
    const bytes = Array.isArray(message) ? Buffer.concat(message) : message
    const { port = 0, groups = 0 } = options ?? {}
    const result = native().send(this.#handle, bytes, bytes.length, port, groups)
    const error = result < 0 ? errnoException('sendto', result) : undefined
    if (callback) process.nextTick(callback, error)
    else if (error) process.nextTick(() => this.emit('error', error))
  }

  close(): void {
    this.#check('close', native().close(this.#handle))
    this.emit('close')
  }

  address(): { port: number; groups: number } {
    return { port: this.#check('getsockname', native().port(this.#handle)), groups: 0 }
  }

  ref(): void {
    this.#check('ref', native().keepAlive(this.#handle, 1))
  }

  unref(): void {
    this.#check('unref', native().keepAlive(this.#handle, 0))
  }

  setsockopt(level: number, name: number, value: number): void {
    this.#check('setsockopt', native().setOption(this.#handle, level, name, value))
  }

  getsockopt(level: number, name: number): number {
    return this.#check('getsockopt', native().getOption(this.#handle, level, name))
  }

  addMembership(group: number): void {
    this.setsockopt(SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, group)
  }

  dropMembership(group: number): void {
    this.setsockopt(SOL_NETLINK, NETLINK_DROP_MEMBERSHIP, group)
  }

  getRecvBufferSize(): number {
    return this.getsockopt(SOL_SOCKET, SO_RCVBUF)
  }

  getSendBufferSize(): number {
    return this.getsockopt(SOL_SOCKET, SO_SNDBUF)
  }

  /** Beyond net.core.rmem_max where we may (CAP_NET_ADMIN in the first user namespace), else clipped to it. */
  setRecvBufferSize(bytes: number): void {
    this.#setBuffer(SO_RCVBUFFORCE, SO_RCVBUF, bytes)
  }

  setSendBufferSize(bytes: number): void {
    this.#setBuffer(SO_SNDBUFFORCE, SO_SNDBUF, bytes)
  }

  #setBuffer(force: number, plain: number, bytes: number): void {
    if (native().setOption(this.#handle, SOL_SOCKET, force, bytes) < 0)
      this.setsockopt(SOL_SOCKET, plain, bytes)
  }

  #check(call: string, result: number): number {
    if (result < 0) throw errnoException(call, result)
    return result
  }
}
