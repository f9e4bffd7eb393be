import { firstValueFrom, type Observable, filter, timeout } from 'rxjs'
import type { LinkFacts, VxlanSpec } from '../../../src/core/kernel/link.ts'
import type { FdbEntry, Neighbour, Op, Route, Row } from '../../../src/core/kernel/rows.ts'
import { rowId } from '../../../src/core/kernel/rows.ts'
import { Cidr } from '../../../src/core/net/cidr.ts'
import { Ip } from '../../../src/core/net/ip.ts'
import { Ipv4 } from '../../../src/core/net/ipv4.ts'
import { Mac } from '../../../src/core/net/mac.ts'
import { Port, Vni } from '../../../src/core/net/vni.ts'
import type { KernelEvent, Miss } from '../../../src/ports/kernel.ts'
import { type KernelOptions, openKernel } from '../../../src/adapters/netlink/kernel.ts'
import { isEnclosed } from '../../../tools/enclosure.mjs'
import { output, run } from '../../support/process.ts'

export const some = <T>(value: T | undefined): T => {
  if (value === undefined) throw new Error('a value that the test needs is missing')
  return value
}
export const ip = (text: string): Ip => some(Ip.parse(text))
export const mac = (text: string): Mac => some(Mac.parse(text))
export const cidr = (text: string): Cidr => some(Cidr.parse(text))

/** Runs a command line, words between blanks. */
export const sh = (line: string, input?: string): Promise<string> => output(line.split(' '), input)

const DEVICE = 'tweed.42'
const LOCAL = '192.0.2.1'

/**
 * The namespace that this process is in, with an underlay of two veth ends and an open kernel.
 * The adapter works in its own namespace only, so the tests run inside one that was made for them.
 */
export class Namespace {
  readonly kernel: ReturnType<typeof openKernel>
  readonly events: KernelEvent[] = []
  readonly underlay: number
  readonly #events$: Observable<KernelEvent>

  private constructor(underlay: number, options: KernelOptions) {
    this.underlay = underlay
    this.kernel = openKernel(options)
    this.#events$ = this.kernel.events$
    this.kernel.events$.subscribe({
      next: (event) => this.events.push(event),
      error: (error: unknown) => {
        throw error // this stream has no errors
      },
    })
  }

  static async open(options: KernelOptions = {}): Promise<Namespace> {
    if (!isEnclosed()) throw new Error('this is not an enclosure: run it by `npm test -- netns`')
    await sh('ip link set lo up')
    await sh('ip link add nl0 type veth peer name nl1')
    for (const device of ['nl0', 'nl1']) await sh(`ip link set ${device} addrgenmode none up`)
    await sh(`ip address add ${LOCAL}/24 dev nl0`)
    await sh('ip address add 192.0.2.3/24 dev nl0')
    return new Namespace(await linkIndex('nl0'), options)
  }

  async close(): Promise<void> {
    this.kernel.close()
    for (const device of [DEVICE, 'nl0']) await run(['ip', 'link', 'del', device])
  }

  spec(change: Partial<VxlanSpec> = {}): VxlanSpec {
    return {
      family: 4,
      name: DEVICE,
      vni: some(Vni.of(42)),
      port: Port.linuxVxlan,
      underlay: this.underlay,
      local: ip(LOCAL),
      mac: mac('02:00:00:00:00:aa'),
      mtuBytes: 1450,
      learning: false,
      gbp: false,
      addresses: [cidr('10.5.1.0/32')],
      overlay: [cidr('10.5.0.0/16')],
      ...change,
    }
  }

  async ensure(change: Partial<VxlanSpec> = {}) {
    return firstValueFrom(this.kernel.ensureLink$(this.spec(change)))
  }

  apply(...ops: readonly Op[]) {
    return firstValueFrom(this.kernel.apply$(ops))
  }

  /** With the routes of both families. */
  async dump(link: number) {
    const dump = await firstValueFrom(this.kernel.dump$({ family: 4, link }))
    const { rows } = await firstValueFrom(this.kernel.dump$({ family: 6, link: undefined }))
    return { ...dump, rows: [...dump.rows, ...rows] }
  }

  /** What happens while `action` runs and until the kernel has told of a marker that comes after it. */
  async during(action: () => Promise<unknown>): Promise<readonly KernelEvent[]> {
    const from = this.events.length
    await action()
    const marker = this.next((e) => e.kind === 'address' && Cidr.print(e.address.address) === MARKER)
    await sh(`ip address add ${MARKER} dev lo`)
    await marker
    const seen = this.events.slice(from, -1)
    const gone = this.next((e) => e.kind === 'address' && e.verb === 'remove')
    await sh(`ip address del ${MARKER} dev lo`)
    await gone
    return seen
  }

  nextMiss(wanted: (miss: Miss) => boolean = () => true): Promise<Miss> {
    return firstValueFrom(this.kernel.misses$.pipe(filter(wanted), timeout(5000)))
  }

  next(wanted: (event: KernelEvent) => boolean): Promise<KernelEvent> {
    return firstValueFrom(this.#events$.pipe(filter(wanted), timeout(5000)))
  }
}

const MARKER = '198.51.100.200/32'

export const linkIndex = async (name: string): Promise<number> => {
  const [link] = JSON.parse(await sh(`ip -j link show ${name}`)) as { ifindex: number }[]
  return some(link).ifindex
}

export const linkFacts = (events: readonly KernelEvent[]): readonly LinkFacts[] =>
  events.flatMap((event) => (event.kind === 'link' ? [event.link] : []))

/** Rows of one remote host, as flannel and we write them. */
export interface HostRows {
  readonly fdb: FdbEntry
  readonly neighbour: Neighbour
  readonly route: Route
}

/** Host number `n` of a network below 10.0.0.0/8 with a /24 each. */
export const hostRows = (link: number, n: number): HostRows => {
  const address = Ipv4.of(0x0a06_0000 + n * 256)
  const station = some(Mac.of(0x0200_0001_0000 + n))
  return {
    fdb: { kind: 'fdb', link, mac: station, vtep: ip('192.0.2.2') },
    neighbour: { kind: 'neighbour', link, ip: address, mac: station, state: 'permanent' },
    route: { kind: 'route', link, dst: Cidr.v4(address, 24), via: address },
  }
}

export const add = (row: Row): Op => ({ verb: 'add', row })
export const remove = (row: Row): Op => ({ verb: 'remove', row })
export const ids = (rows: readonly Row[]): readonly string[] => rows.map(rowId).sort()
