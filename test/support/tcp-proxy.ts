import { connect, createServer, type AddressInfo, type Server, type Socket } from 'node:net'

export interface TcpAddress {
  readonly host: string
  readonly port: number
}

const loopback = '127.0.0.1'

/** A wire between a client and a server, on loopback by default, that can be cut, starved and counted. */
export class TcpProxy {
  readonly #server: Server
  readonly #pairs = new Set<readonly [Socket, Socket]>()
  readonly #clients = new Set<Socket>()
  /** Connections accepted so far. */
  accepted = 0
  /** Cut every new connection at once. */
  refuse = false
  /** Accept, and never say a word: a half-open middlebox. */
  silent = false
  /** Sees what the client says before the server does. */
  onRequest: ((chunk: Buffer) => void) | undefined
  /** Sees what the server says before the client does, and may lose it, or cut the wire, by returning `'drop'` or `'cut'`. */
  onAnswer: ((chunk: Buffer) => 'pass' | 'drop' | 'cut') | undefined

  readonly #frozen = new WeakSet<Socket>()

  private constructor(target: TcpAddress) {
    this.#server = createServer((client) => {
      this.accepted++
      this.#clients.add(client)
      client.on('close', () => this.#clients.delete(client))
      client.on('error', () => client.destroy())
      if (this.refuse) client.resetAndDestroy()
      else if (this.silent) client.resume()
      else this.#join(client, connect(target))
    })
  }

  /** `target` is a port on loopback or an address; listens on a free port of loopback unless told otherwise. */
  static async open(
    target: number | TcpAddress,
    at: TcpAddress = { host: loopback, port: 0 },
  ): Promise<TcpProxy> {
    const proxy = new TcpProxy(typeof target === 'number' ? { host: loopback, port: target } : target)
    await new Promise<void>((resolve) => proxy.#server.listen(at, resolve))
    return proxy
  }

  get url(): string {
    const { address, port } = this.#server.address() as AddressInfo
    return `http://${address}:${port}`
  }

  /** Connections that are open now stay so and carry nothing any more, for ever. */
  freeze(): void {
    for (const client of this.#clients) this.#frozen.add(client)
  }

  /** Connections that are open now. */
  get open(): number {
    return this.#clients.size
  }

  /** Resets every connection; new ones are served. */
  cut(): void {
    for (const client of this.#clients) client.resetAndDestroy()
    for (const [, server] of this.#pairs) server.destroy()
    this.#pairs.clear()
  }

  close(): void {
    this.#server.close()
    this.cut()
  }

  #join(client: Socket, server: Socket): void {
    const pair = [client, server] as const
    this.#pairs.add(pair)
    client.on('data', (chunk) => {
      this.onRequest?.(chunk)
      if (!this.#frozen.has(client)) server.write(chunk)
    })
    server.on('data', (chunk) => {
      if (this.#frozen.has(client)) return
      const verdict = this.onAnswer?.(chunk) ?? 'pass'
      if (verdict === 'cut') this.cut()
      if (verdict === 'pass') client.write(chunk)
    })
    for (const socket of pair) {
      socket.on('error', () => socket.destroy())
      socket.on('close', () => {
        this.#pairs.delete(pair)
        client.destroy()
        server.destroy()
      })
    }
  }
}
