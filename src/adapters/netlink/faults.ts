import { constants } from 'node:os'
import { Fault, type FaultCode, faultCodes } from '../../core/fault.ts'
import { getSystemErrorName } from 'node:util'
import { NLM_F, eachAttribute, messageFlags, readString, s32, u16, u32, HEADER_BYTES } from './wire.ts'

const { errno: E } = constants

/** What the kernel says to one request: a positive errno and its own words, if it has any. */
export interface Complaint {
  readonly errno: number
  /** NLMSGERR_ATTR_MSG: `Invalid link address`. */
  readonly text: string
  /** Type of the message that it is about. */
  readonly about?: number
}

/** A request that the kernel refused. */
export class KernelError extends Error {
  readonly complaint: Complaint
  constructor(complaint: Complaint) {
    super(complaint.text)
    this.complaint = complaint
  }
}

/** A fault on its way out of this adapter; {@link asFault} takes it out again. */
export class Failed extends Error {
  readonly fault: Fault
  constructor(fault: Fault) {
    super(fault.message)
    this.fault = fault
  }
}

const codes: Readonly<Record<number, FaultCode>> = {
  [E.EPERM]: 'kernel-denied',
  [E.EACCES]: 'kernel-denied',
  [E.EBUSY]: 'kernel-busy',
  [E.ENOBUFS]: 'kernel-busy',
  [E.EAGAIN]: 'kernel-busy',
  [E.ENOMEM]: 'kernel-busy',
  [E.EINTR]: 'kernel-busy',
  [E.ENETDOWN]: 'kernel-busy', // the device is down for the moment
  [E.ETIMEDOUT]: 'netlink-timeout',
}

/** errno → fault; `about` says what was asked, in the words of `ip` and `bridge`. */
export function faultOf({ errno, text }: Complaint, about: string): Fault {
  const code = codes[errno] ?? 'kernel-refused'
  const name = getSystemErrorName(-errno)
  const why = code === 'kernel-denied' ? `; ${faultCodes[code]}` : ''
  return Fault.of(code, `${about}: ${text === '' ? name : `${text} (${name})`}${why}`)
}

/** Whatever was thrown below the port, as a fault. */
export function asFault(error: unknown, about: string): Fault {
  if (error instanceof Failed) return error.fault
  if (error instanceof KernelError) return faultOf(error.complaint, about)
  const errno = (error as { errno?: unknown }).errno
  if (typeof errno === 'number' && errno !== 0) return faultOf({ errno: Math.abs(errno), text: '' }, about)
  const message = error instanceof Error ? error.message : String(error)
  return Fault.of(
    message === 'Timeout has been reached' ? 'netlink-timeout' : 'kernel-refused',
    `${about}: ${message}`,
  )
}

const NLMSGERR_ATTR_MSG = 1

/** The NLMSG_ERROR or NLMSG_DONE message at `start`. Errno 0 is an acknowledgement. */
export function readComplaint(b: Buffer, start: number, end: number): Complaint {
  const at = start + HEADER_BYTES
  if (at + 4 > end) return { errno: 0, text: '' }
  const flags = messageFlags(b, start)
  const errno = -s32(b, at)
  let text = ''
  if ((flags & NLM_F.ackTlvs) !== 0 && at + 20 <= end) {
    // Behind errno comes our header, and without NLM_F_CAPPED our whole message (netlink.h: struct nlmsgerr).
    const request = (flags & NLM_F.capped) !== 0 ? HEADER_BYTES : u32(b, at + 4)
    eachAttribute(b, at + 4 + ((request + 3) & ~3), end, (type, from, length) => {
      if (type === NLMSGERR_ATTR_MSG) text = readString(b, from, length)
    })
  }
  return { errno: errno === 0 ? 0 : errno, text, about: at + 10 <= end ? u16(b, at + 8) : 0 }
}
