import type { EtcdMember } from '../etcd.ts'
import type { Netns } from '../netns.ts'
import type { TcpProxy } from '../tcp-proxy.ts'

/** Underlay addresses of the hosts. Faults between them and etcd spare the experimenter, who has another one. */
const agents = '192.0.2.11-192.0.2.99'

const table = (lines: readonly string[]): string => {
  const rules = (way: string) =>
    lines.flatMap((line) => (line.startsWith(`${way} `) ? [`${line.slice(way.length)};`] : [])).join(' ')
  return `table inet fault {
  chain in { type filter hook input priority 0; ${rules('in')} }
  chain out { type filter hook output priority 0; ${rules('out')} }
}`
}

/** One etcd member on a machine of its own, and what can happen to it. */
export class Member {
  readonly etcd: EtcdMember
  readonly netns: Netns
  /** Underlay address. */
  readonly address: string
  /** A detour to it for agents that are to meet faults inside a connection. */
  readonly wire: TcpProxy
  #paused = false

  constructor(setup: Pick<Member, 'etcd' | 'netns' | 'address' | 'wire'>) {
    this.etcd = setup.etcd
    this.netns = setup.netns
    this.address = setup.address
    this.wire = setup.wire
  }

  kill(): Promise<void> {
    return this.etcd.kill()
  }

  /** SIGSTOP: its connections stay, nobody answers. */
  pause(): void {
    this.#paused = true
    this.etcd.pause()
  }

  resume(): void {
    this.#paused = false
    this.etcd.resume()
  }

  /** Packets between it and the agents vanish, both ways; etcd itself is well. */
  blackhole(): Promise<void> {
    return this.#filter([
      `in ip saddr ${agents} tcp dport 2379 counter drop`,
      `out ip daddr ${agents} tcp sport 2379 drop`,
    ])
  }

  /** Agents are answered with a reset: those that are connected, and those that try. */
  refuse(): Promise<void> {
    return this.#filter([
      `in ip saddr ${agents} tcp dport 2379 tcp flags & (syn|ack) == syn counter reject with tcp reset`,
      `in ip saddr ${agents} tcp dport 2379 reject with tcp reset`,
    ])
  }

  /** Attempts of agents to connect since {@link refuse} or {@link blackhole}. */
  async attempts(): Promise<number> {
    const printed = await this.netns.exec('nft', 'list', 'table', 'inet', 'fault')
    return Number(/counter packets (\d+)/.exec(printed)?.[1] ?? 0)
  }

  /** Cuts it off from the other members; agents still reach it. */
  partition(): Promise<void> {
    return this.#filter(['in', 'out'].flatMap((way) => ['dport', 'sport'].map((end) => `${way} tcp ${end} 2380 drop`))) // prettier-ignore
  }

  /** Undoes everything, and resolves when it serves again. */
  async heal(): Promise<void> {
    if (this.#paused) this.resume()
    await this.#filter([])
    await this.etcd.start()
  }

  async #filter(lines: readonly string[]): Promise<void> {
    const rules = `table inet fault\ndelete table inet fault\n${lines.length > 0 ? table(lines) : ''}`
    await this.netns.exec('sh', '-c', 'printf "%s\\n" "$1" | nft -f -', 'nft', rules)
  }
}
