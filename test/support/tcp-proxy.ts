import { connect, createServer, type AddressInfo, type Server, type Socket } from 'node:net'

/** A wire between a client and a server on loopback that can be cut, starved and counted. */
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
  /** Sees what the server says before the client does, and may lose it, or cut the wire, by returning `'drop'` or `'cut'`. */
  onAnswer: ((chunk: Buffer) => 'pass' | 'drop' | 'cut') | undefined

  private constructor(targetPort: number) {
    this.#server = createServer((client) => {
      this.accepted++
      this.#clients.add(client)
      client.on('close', () => this.#clients.delete(client))
      client.on('error', () => client.destroy())
      if (this.refuse) client.resetAndDestroy()
      else if (this.silent) client.resume()
      else this.#join(client, connect(targetPort, '127.0.0.1'))
    })
  }

  static async open(targetPort: number): Promise<TcpProxy> {
    const proxy = new TcpProxy(targetPort)
    await new Promise<void>((resolve) => proxy.#server.listen(0, '127.0.0.1', resolve))
    return proxy
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`
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
    client.on('data', (chunk) => server.write(chunk))
    server.on('data', (chunk) => {
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
