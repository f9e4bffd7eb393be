import { AsyncLocalStorage } from 'node:async_hooks'
import { subscribe } from 'node:diagnostics_channel'
import type { Socket } from 'node:net'

/** Both the TLS and the HTTP/2 hand-shake begin with something that etcd says within one round trip. */
const silenceLimitMs = 5000

/**
 * The TCP connections that grpc-js makes on behalf of one client, which it gives nobody a hold of. It waits
 * without limit for a peer that accepts and never says a word (grpc-node #2785), so that each attempt would leave
 * a socket behind; and a channel that was closed after a failure connects once more, for nobody.
 */
export interface Connections {
  /** Whatever is connected in the course of `work`, at once or later, belongs here. */
  readonly run: <T>(work: () => T) => T
  /**
   * Destroys those from an address that the host has lost: TCP would repeat itself for a quarter of an hour, and
   * HTTP/2's own questions take ten seconds. Tells whether there was any.
   */
  readonly cutFrom: (addresses: readonly string[]) => boolean
  /** Destroys them, and each that is yet to come. */
  readonly close: () => void
}

interface Owner {
  readonly add: (socket: Socket) => void
}

const owners = new AsyncLocalStorage<Owner>()

// Published by net.connect() before it does anything else, in the context of whoever asked for the connection.
subscribe('net.client.socket', (message) =>
  owners.getStore()?.add((message as { readonly socket: Socket }).socket),
)

export const ownConnections = (): Connections => {
  const sockets = new Set<Socket>()
  let closed = false
  const add = (socket: Socket) => {
    // The address is tried in the next tick, so that one destroyed there before sends nothing.
    if (closed) process.nextTick(() => socket.destroy())
    sockets.add(socket)
    const limit = setTimeout(() => {
      if (socket.bytesRead === 0) socket.destroy(new Error(`no answer within ${silenceLimitMs} ms`))
    }, silenceLimitMs).unref()
    socket.once('close', () => {
      clearTimeout(limit)
      sockets.delete(socket)
    })
  }
  const owner = { add }
  return {
    run: (work) => owners.run(owner, work),
    cutFrom: (addresses) => {
      const dead = [...sockets].filter((socket) => addresses.includes(socket.localAddress ?? ''))
      for (const socket of dead) socket.destroy(new Error('the address that it came from is gone'))
      return dead.length > 0
    },
    close: () => {
      closed = true
      for (const socket of sockets) socket.destroy()
    },
  }
}
