import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import type { Socket } from 'node:net'

/** Both the TLS and the HTTP/2 hand-shake begin with something that etcd says within one round trip. */
const limitMs = 5000

/**
 * grpc-js waits without limit for a peer that accepts a connection and never says a word (grpc-node #2785), and
 * nobody but the operating system can reach such a socket: each would stay open, one for every attempt. So the
 * sockets to `ports` (of etcd) that have received nothing after 5 s are destroyed. Returns how to stop, which
 * destroys those still waiting.
 */
export const limitConnects = (ports: ReadonlySet<number>): (() => void) => {
  const waiting = new Map<Socket, NodeJS.Timeout>()
  const forget = (socket: Socket) => {
    clearTimeout(waiting.get(socket))
    waiting.delete(socket)
  }
  const destroyIfMute = (socket: Socket) => {
    forget(socket)
    const ours = socket.remotePort !== undefined && ports.has(socket.remotePort)
    if (ours && socket.bytesRead === 0) socket.destroy(new Error(`connected, but no answer in ${limitMs} ms`))
  }
  const onSocket = (message: unknown) => {
    const { socket } = message as { readonly socket: Socket } // what node:net publishes there
    waiting.set(socket, setTimeout(destroyIfMute, limitMs, socket).unref())
    socket.once('close', () => forget(socket))
  }
  subscribe('net.client.socket', onSocket)
  return () => {
    unsubscribe('net.client.socket', onSocket)
    for (const socket of [...waiting.keys()]) destroyIfMute(socket)
  }
}
