import { type FirstPackets, firstPackets, ping, PingStream, startEcho } from './ping.ts'
import type { PingOptions, PingResult } from './ping.ts'
import type { Daemon } from './process.ts'
import type { Netns } from './netns.ts'

/** A network namespace behind a host's bridge, as a container runtime would set it up. */
export class Container {
  readonly name: string
  readonly netns: Netns
  /** Of IPv6, if its host has any for it. */
  address6 = ''
  readonly #addresses: string[]
  #echo: Daemon | undefined
  /** A failed test stops none: they would keep its process alive for ever. */
  readonly #streams: PingStream[] = []

  constructor(name: string, netns: Netns, addresses: readonly string[]) {
    this.name = name
    this.netns = netns
    this.#addresses = [...addresses]
  }

  /** Its first address. */
  get address(): string {
    return this.#addresses[0] ?? ''
  }

  get addresses(): readonly string[] {
    return this.#addresses
  }

  /** Tells this object of addresses that the host has put on it. */
  holds(addresses: readonly string[]): void {
    this.#addresses.push(...addresses)
  }

  ping(to: string, options?: PingOptions): Promise<PingResult> {
    return ping(this.netns, to, options)
  }

  async pingStream(to: string, intervalMs?: number): Promise<PingStream> {
    const stream = await PingStream.start(this.netns, to, intervalMs)
    this.#streams.push(stream)
    return stream
  }

  /** Answers {@link firstPackets} on all its addresses from now on. */
  async answerDatagrams(): Promise<void> {
    this.#echo ??= await startEcho(this.netns)
  }

  /** One datagram to each address, and no second. */
  firstPackets(to: readonly string[], perSecond?: number): Promise<FirstPackets> {
    return firstPackets(this.netns, to, perSecond)
  }

  async stop(): Promise<void> {
    await this.#echo?.kill()
    await Promise.all(this.#streams.map((stream) => stream.stop()))
  }
}
