import { createSocket } from 'node:dgram'
import { setImmediate } from 'node:timers/promises'
import { filter, finalize, firstValueFrom, Observable } from 'rxjs'
import { openKernel } from '../../src/adapters/netlink/kernel.ts'
import { Cidr } from '../../src/core/net/cidr.ts'
import type { Kernel, KernelEvent } from '../../src/ports/kernel.ts'
import { isEnclosed } from '../../tools/enclosure.mjs'
import { output, run } from './process.ts'
import type { Action, ScenarioSettings } from './scenario.ts'
import { device, device6, placeOf, ScenarioAgent, underlayName } from './scenario-agent.ts'
import { VirtualTime } from './virtual-time.ts'

const settleMs = 50
/** In slices, so that the kernel can answer what a timer has asked before the next one is due. */
const sliceMs = 1000
/** Real time that Linux is given to become as expected. */
const patienceMs = 5000
const marker = '198.51.100.200/32'

/** The same agent on Linux: real tables in this namespace, etcd and time in memory. */
export class LinuxWorld {
  readonly #time = new VirtualTime()
  readonly agent: ScenarioAgent
  #kernel: Watched | undefined

  private constructor(settings: ScenarioSettings) {
    this.agent = new ScenarioAgent(this.#time, settings)
  }

  static async begin(settings: ScenarioSettings): Promise<LinuxWorld> {
    if (!isEnclosed()) throw new Error('this is not an enclosure: run it by `npm test -- netns`')
    await sh('ip link set lo up')
    await sh(`ip link add ${underlayName} type veth peer name ${underlayName}-peer`)
    for (const name of [underlayName, `${underlayName}-peer`])
      await sh(`ip link set ${name} addrgenmode none up`)
    for (const address of placeOf(settings).underlay)
      await sh(`ip address add ${address} dev ${underlayName}${address.includes(':') ? ' nodad' : ''}`)
    const world = new LinuxWorld(settings)
    try {
      await world.play({ kind: 'start' })
      // Network, interfaces, subnet, device: each takes the kernel or etcd a turn.
      for (let turn = 0; turn < 4; turn++) await world.settle()
      return world
    } catch (error) {
      await world.end() // an open kernel would keep the process running
      throw error
    }
  }

  async end(): Promise<void> {
    this.#time.end()
    await this.#stop()
    for (const name of [device, device6, underlayName]) await run(['ip', 'link', 'del', name])
  }

  async play(action: Action): Promise<void> {
    if (this.agent.play(action)) return
    switch (action.kind) {
      case 'start':
        this.#start()
        return
      case 'stop':
        return this.#stop()
      case 'restart':
        await this.#stop()
        this.#start()
        return
      case 'packet':
        return sendTo(action.to)
      case 'by hand':
        await sh(action.command)
        return
      case 'wait':
        return this.#advance(action.time)
      case 'overrun':
      case 'kernel refuses':
      case 'kernel accepts':
        throw new Error(`Linux can't be made to do that: ${action.kind}`)
      case 'put':
      case 'delete':
      case 'leave':
      case 'config':
      case 'etcd':
      case 'forget':
      case 'renumber':
        return // the agent's store and disk have played it
    }
  }

  /** Until the agent has heard of everything so far and waits for no answer. */
  async settle(): Promise<void> {
    await this.#kernel?.caughtUp()
    await this.#advance(settleMs)
    await this.#kernel?.caughtUp()
    this.agent.mustLive()
  }

  /** Rows of ours as Linux has them, sorted: at once if they are as expected, else as they are when patience ends. */
  async tables(expected?: readonly string[]): Promise<readonly string[]> {
    const deadline = performance.now() + patienceMs
    for (;;) {
      const rows = await readRows()
      const asExpected = expected === undefined || rows.join('\n') === expected.join('\n')
      if (asExpected || performance.now() > deadline) return rows
      await this.settle()
    }
  }

  async #advance(ms: number): Promise<void> {
    for (let left = ms; left > 0; left -= sliceMs) {
      this.#time.advance(Math.min(left, sliceMs))
      await this.#kernel?.quiet()
    }
  }

  #start(): void {
    this.#kernel = new Watched()
    this.agent.start(this.#kernel.port)
  }
  async #stop(): Promise<void> {
    this.agent.stop()
    const kernel = this.#kernel
    this.#kernel = undefined
    await kernel?.close()
  }
}

/** A kernel that tells when nobody waits for it. */
class Watched {
  readonly #open = openKernel()
  readonly port: Kernel
  #waiting = 0
  #marked = false

  constructor() {
    const kernel = this.#open
    this.port = {
      misses$: kernel.misses$,
      events$: kernel.events$,
      get room() {
        return kernel.room
      },
      answer: (ops) => kernel.answer(ops),
      ensureLink$: (spec) => this.#counted$(kernel.ensureLink$(spec)),
      dump$: (link) => this.#counted$(kernel.dump$(link)),
      apply$: (ops) => this.#counted$(kernel.apply$(ops)),
      interfaces$: () => this.#counted$(kernel.interfaces$()),
      routeTo$: (ip) => this.#counted$(kernel.routeTo$(ip)),
      checksumOffload$: (link) => this.#counted$(kernel.checksumOffload$(link)),
      nextHops$: (ips) => this.#counted$(kernel.nextHops$(ips)),
      removeLink$: (name) => this.#counted$(kernel.removeLink$(name)),
      removeAll$: (name) => this.#counted$(kernel.removeAll$(name)),
    }
  }

  async close(): Promise<void> {
    this.#open.close()
    if (this.#marked) await sh(`ip address del ${marker} dev lo`)
  }

  async quiet(): Promise<void> {
    while (this.#waiting > 0) await setImmediate()
  }

  /** The events come in order: when the kernel has told of a marker it has told of all before. */
  async caughtUp(): Promise<void> {
    const verb = (this.#marked = !this.#marked) ? 'add' : 'del'
    const told = firstValueFrom(this.#open.events$.pipe(filter((event) => isMarker(event, verb))))
    await sh(`ip address ${verb} ${marker} dev lo`)
    await told
    await this.quiet()
  }

  #counted$<T>(request$: Observable<T>): Observable<T> {
    return new Observable((out) => {
      this.#waiting++
      return request$.pipe(finalize(() => this.#waiting--)).subscribe(out)
    })
  }
}

const isMarker = (event: KernelEvent, verb: 'add' | 'del'): boolean =>
  event.kind === 'address' &&
  (event.verb === 'add') === (verb === 'add') &&
  Cidr.print(event.address.address) === marker

const sh = (line: string): Promise<string> => output(line.split(' '))

/** The discard port: only the way there matters. */
const sendTo = async (to: string): Promise<void> => {
  const socket = createSocket(to.includes(':') ? 'udp6' : 'udp4')
  // An address without a way is an error of the sender's, and as good as lost.
  await new Promise<void>((resolve) => socket.send('x', 9, to, () => resolve()))
  socket.close()
}

interface IpRoute {
  readonly dst: string
  readonly gateway?: string
  readonly dev: string
  readonly scope?: string
  readonly flags: readonly string[]
}
interface IpNeighbour {
  readonly dst: string
  readonly lladdr?: string
  readonly state: readonly string[]
}
interface BridgeFdb {
  readonly mac: string
  readonly dst?: string
  readonly flags: readonly string[]
  readonly state: string
}

// Both programs print nothing at all, not even `[]`, for some empty tables.
const json = async (line: string): Promise<unknown> => {
  const { code, stdout } = await run(line.split(' '))
  return code === 0 ? JSON.parse(stdout.trim() || '[]') : [] // no such device: no rows
}

/** As `core/kernel/notation.ts` prints them. */
const readRows = async (): Promise<readonly string[]> => {
  const routes = (await json('ip -j route show proto 84')) as IpRoute[]
  const routes6 = (await json('ip -6 -j route show proto 84')) as IpRoute[]
  const rows = await Promise.all([device, device6].map(readRowsOn))
  return [
    ...[...routes, ...routes6].map(({ dst, gateway, dev, scope, flags }) =>
      [
        `route ${dst}${gateway === undefined ? '' : ` via ${gateway}`} dev ${dev}`,
        ...flags,
        ...(scope === undefined ? [] : [`scope ${scope}`]),
        'proto 84',
      ].join(' '),
    ),
    ...rows.flat(),
  ].sort()
}

const isMulticast = (ip: string): boolean => /^(22[4-9]|23\d|255)\.|^ff..:/.test(ip)

const readRowsOn = async (name: string): Promise<readonly string[]> => {
  const neighbours = (await json(`ip -j neigh show dev ${name} nud all`)) as IpNeighbour[]
  const fdb = (await json(`bridge -j fdb show dev ${name}`)) as BridgeFdb[]
  return [
    ...neighbours
      .filter(({ dst, state }) => ['PERMANENT', 'NOARP'].includes(state[0] ?? '') && !isMulticast(dst))
      .map(
        ({ dst, lladdr = '', state }) =>
          `neigh ${dst} lladdr ${lladdr} nud ${(state[0] ?? '').toLowerCase()} dev ${name}`,
      ),
    ...fdb.map(
      ({ mac, dst = '', flags, state }) => `fdb ${mac} dev ${name} dst ${dst} ${flags.join(' ')} ${state}`,
    ),
  ]
}
