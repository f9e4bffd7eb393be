import { expect } from 'chai'
import { MemoryKernel } from '../../src/adapters/memory/kernel.ts'
import { Fault, type FaultCode, faultCodes } from '../../src/core/fault.ts'
import { printRow } from '../../src/core/kernel/notation.ts'
import { Cidr } from '../../src/core/net/cidr.ts'
import { Ip } from '../../src/core/net/ip.ts'
import { parseSubnetKey } from '../../src/core/overlay/subnet-key.ts'
import type { StoredRecord } from '../../src/core/overlay/record.ts'
import { byHand } from './by-hand.ts'
import type { Action, ScenarioSettings } from './scenario.ts'
import { device, device6, placeOf, ScenarioAgent, underlayName } from './scenario-agent.ts'
import { VirtualTime } from './virtual-time.ts'

/** Longer than a request to etcd or the kernel takes here, shorter than anything that the agent waits for. */
const settleMs = 50
/** Longer than every hold, brake and retry. */
const restMs = 30 * 60_000

/** A host with an agent on a kernel in memory, in virtual time. */
export class MemoryWorld {
  readonly #time = new VirtualTime()
  readonly kernel = new MemoryKernel({ clock: this.#time.clock, latencyMs: 1 })
  readonly agent: ScenarioAgent
  readonly #settings: ScenarioSettings

  constructor(settings: ScenarioSettings, records: readonly StoredRecord[] = []) {
    this.#settings = settings
    this.agent = new ScenarioAgent(this.#time, settings)
    for (const { key, value, leaseId } of records.toSorted(byAge)) this.agent.store.put(key, value, leaseId)
    const [first, ...more] = placeOf(settings).underlay.map((text) => must(Cidr.parse(text)))
    const { index } = this.kernel.addDevice(underlayName, must(first))
    for (const address of more) this.kernel.addAddress({ link: index, address, scope: 0, secondary: false })
    this.play({ kind: 'start' })
    this.settle()
  }

  end(): void {
    this.agent.stop()
    this.#time.end()
  }

  /** What `tweed plan` would print, once the disk has what the agent knows. */
  plan(): readonly string[] | undefined {
    this.#time.advance(1000)
    const planned = this.agent.plan(this.kernel)
    this.settle()
    return planned.lines
  }

  /** Rows of ours, as `ip` and `bridge` list them, sorted. */
  tables(): readonly string[] {
    const { namespace } = this.kernel
    const rows = [device, device6].flatMap((name) => namespace.rowsOn(namespace.linkNamed(name)?.index ?? 0))
    return [...rows, ...namespace.ourRoutes()]
      .map((row) => printRow(row, namespace.links.get(row.link)?.name ?? '?'))
      .sort()
  }

  settle(): void {
    this.#time.advance(settleMs)
    this.agent.mustLive()
  }

  play(action: Action): void {
    if (this.agent.play(action)) return
    const { kernel } = this
    switch (action.kind) {
      case 'start':
        return this.agent.start(kernel)
      case 'stop':
        return this.agent.stop()
      case 'restart':
        this.agent.stop()
        return this.agent.start(kernel)
      case 'packet': {
        const way = kernel.send(must(Ip.parse(action.to)))
        if (action.reaches === undefined) return
        expect(
          way.kind === 'tunnel' ? Ip.print(way.vtep) : way.kind === 'plain' ? Ip.print(way.to) : way.kind,
          `way of the packet to ${action.to}`,
        ).to.equal(action.reaches)
        return
      }
      case 'by hand':
        if (action.heard) return byHand(kernel, action.command)
        return kernel.unheard(() => byHand(kernel, action.command))
      case 'overrun':
        return kernel.overrun()
      case 'wait':
        return this.#time.advance(action.time)
      case 'kernel refuses':
        return kernel.refuse(action.command, Fault.of(must(faultCode(action.code))), action.times)
      case 'kernel accepts':
        return kernel.accept()
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

  /** Until nothing is held, retried or handed over any more; in `on-miss` with every host in use. */
  rest(): void {
    this.kernel.accept()
    this.agent.store.connect()
    this.#time.advance(restMs)
    if (this.#settings.resolve === 'on-miss' && this.#settings.idle === 0) {
      for (const { key } of this.agent.store.records) {
        const { subnet, subnet6 } = parseSubnetKey(key) ?? {}
        for (const each of [subnet, subnet6]) if (each) this.kernel.send(each.address)
        this.#time.advance(settleMs) // at the bound each host makes another one go
      }
      this.#time.advance(restMs)
    }
    this.agent.mustLive()
  }
}

const byAge = (a: StoredRecord, b: StoredRecord): number => a.createRevision - b.createRevision
const faultCode = (text: string): FaultCode | undefined =>
  Object.keys(faultCodes).find((code): code is FaultCode => code === text)
const must = <T>(value: T | undefined): T => {
  if (value === undefined) throw new Error('the scenario names something that does not exist')
  return value
}
