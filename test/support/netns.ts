import { isEnclosed } from '../../tools/enclosure.mjs'
import { Daemon, output } from './process.ts'

/** A network namespace that `ip netns` knows by name. */
export class Netns {
  readonly name: string
  readonly #daemons: Daemon[] = []
  private constructor(name: string) {
    this.name = name
  }

  /** Refuses to work in the machine's own network namespace: nothing of a laboratory may ever land there. */
  static async add(name: string): Promise<Netns> {
    if (!isEnclosed()) {
      throw new Error('this is not an enclosure: run it by `npm test -- netns` or `npm run demo`')
    }
    await output(['ip', 'netns', 'add', name])
    const netns = new Netns(name)
    await netns.batch(['link set lo up'])
    // Router solicitations and duplicate address detection would blur counts and comparisons.
    await netns.sysctl('net.ipv6.conf.all.disable_ipv6', '1')
    await netns.sysctl('net.ipv6.conf.default.disable_ipv6', '1')
    return netns
  }

  /** Ends what was started in here and still runs: a test that failed half-way may have left it. */
  async remove(): Promise<string> {
    await Promise.all(this.#daemons.map((daemon) => daemon.kill()))
    return output(['ip', 'netns', 'del', this.name])
  }

  /** A command line as it runs in here. `ip netns exec` becomes the program, so its pid is the program's. */
  wrap(argv: readonly string[]): readonly string[] {
    return ['ip', 'netns', 'exec', this.name, ...argv]
  }

  exec(...argv: readonly string[]): Promise<string> {
    return output(this.wrap(argv))
  }

  start(...argv: readonly string[]): Daemon {
    const daemon = Daemon.start(this.wrap(argv))
    this.#daemons.push(daemon)
    return daemon
  }

  ip(...args: readonly string[]): Promise<string> {
    return output(['ip', '-n', this.name, ...args])
  }

  bridge(...args: readonly string[]): Promise<string> {
    return output(['bridge', '-n', this.name, ...args])
  }

  /** Many `ip` commands in one process; stops at the first that fails. */
  batch(commands: readonly string[]): Promise<string> {
    return output(['ip', '-n', this.name, '-batch', '-'], commands.join('\n') + '\n')
  }

  /** On one interface, without the chatter of router solicitations. */
  async enableIpv6(name: string): Promise<void> {
    await this.sysctlOf(name, 'accept_ra', '0')
    await this.sysctlOf(name, 'accept_dad', '0') // a bridge asks for nobody until its own address is sure
    await this.sysctlOf(name, 'disable_ipv6', '0')
  }

  /** `/proc/sys/net/ipv6/conf/<name>/<key>`, whatever dots the name has. */
  sysctlOf(name: string, key: string, value: string): Promise<string> {
    return this.exec(
      'sh',
      '-c',
      'echo "$2" > "/proc/sys/net/ipv6/conf/$1"',
      'sysctl',
      `${name}/${key}`,
      value,
    )
  }

  sysctl(key: string, value: string): Promise<string> {
    // Not every machine has sysctl(8).
    return this.exec('sh', '-c', 'echo "$2" > "/proc/sys/$1"', 'sysctl', key.replaceAll('.', '/'), value)
  }
}

/** Ends of a veth pair in two namespaces, up. */
export const veth = async (a: readonly [Netns, string], b: readonly [Netns, string], mtu = 1500) => {
  await a[0].batch([
    `link add ${a[1]} mtu ${mtu} type veth peer name ${b[1]} mtu ${mtu} netns ${b[0].name}`,
    `link set ${a[1]} up`,
  ])
  await b[0].batch([`link set ${b[1]} up`])
}
