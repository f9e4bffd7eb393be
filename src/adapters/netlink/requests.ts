import type { NetlinkMessage, NetlinkSocket as Socket, RawNetlinkSocket } from 'netlink'
import { KernelError, readComplaint } from './faults.ts'
import { NetlinkSocket } from './package.ts'
import { RawSocket, SOL_NETLINK } from './raw-socket.ts'
import {
  HEADER_BYTES,
  NETLINK_CAP_ACK,
  NETLINK_EXT_ACK,
  NETLINK_GET_STRICT_CHK,
  NLMSG_ERROR,
} from './wire.ts'

const TIMEOUT_MS = 5000

/** A message as the decoders want it: header and payload in one buffer. */
export interface Reply {
  readonly bytes: Buffer
}

/** Single requests for the rare things (link, address, look-up): the package's socket on top of ours. */
export class Requests {
  readonly #raw: RawSocket
  readonly #socket: Socket

  constructor(protocol = 0) {
    this.#raw = new RawSocket(protocol)
    for (const option of [NETLINK_EXT_ACK, NETLINK_CAP_ACK, NETLINK_GET_STRICT_CHK])
      this.#raw.setsockopt(SOL_NETLINK, option, 1)
    // Same interface; the package's type has private members, so TypeScript can't see that.
    this.#socket = new NetlinkSocket(this.#raw as unknown as RawNetlinkSocket)
    this.#socket.on('error', () => undefined) // a lost answer ends in the request's time-out
  }

  close(): void {
    this.#socket.close()
  }

  /** The reply, or nothing where the kernel only acknowledges. Throws a {@link KernelError} when it refuses. */
  async ask(type: number, flags: number, body: Uint8Array): Promise<Buffer | undefined> {
    const [[message]] = await this.#socket.request(type, body, {
      flags,
      timeout: TIMEOUT_MS,
      checkError: false,
    })
    if (!message) return undefined
    const bytes = withHeader(message)
    if (message.type !== NLMSG_ERROR) return bytes
    const complaint = readComplaint(bytes, 0, bytes.length)
    if (complaint.errno !== 0) throw new KernelError(complaint)
    return undefined
  }
}

function withHeader(message: NetlinkMessage): Buffer {
  const header = Buffer.alloc(HEADER_BYTES)
  header.writeUInt32LE(HEADER_BYTES + message.data.length, 0)
  header.writeUInt16LE(message.type, 4)
  header.writeUInt16LE(message.flags, 6)
  return Buffer.concat([header, message.data])
}
