import { Buffer } from 'node:buffer'

/** Sends one datagram to a Unix socket; a negative errno where it fails. Node has no such socket of its own. */
export type SendUnixDatagram = (path: string, bytes: Uint8Array) => number

/** sd_notify(3): `READY=1`, `STATUS=…`, `STOPPING=1`; silent where no service manager listens. */
export const notifier =
  (send: SendUnixDatagram, socket = process.env['NOTIFY_SOCKET']) =>
  (state: string): void => {
    if (socket) send(socket, Buffer.from(state))
  }
