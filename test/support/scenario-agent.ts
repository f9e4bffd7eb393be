import { Subject, type Subscription } from 'rxjs'
import { MemoryHost } from '../../src/adapters/memory/host.ts'
import { MemoryLeaseStore } from '../../src/adapters/memory/lease-store.ts'
import { MemoryPacketFilter } from '../../src/adapters/memory/packet-filter.ts'
import { Mac } from '../../src/core/net/mac.ts'
import { Millis } from '../../src/core/time.ts'
import type { Kernel } from '../../src/ports/kernel.ts'
import { agent$, type AgentView } from '../../src/streams/agent.ts'
import { plan$ } from '../../src/streams/plan.ts'
import type { AgentSettings, World } from '../../src/streams/world.ts'
import type { Action, ScenarioSettings } from './scenario.ts'
import type { VirtualTime } from './virtual-time.ts'

export const device = 'tweed.1'
export const underlayName = 'sc0'
export const device6 = 'tweed-v6.1'
const underlayAddress = '192.0.2.1/24'
const underlayAddress6 = '2001:db8::1/64'
const ownMac = Mac.local([2, 0, 0, 0, 0, 1])

/** What the host has of each family of its network: addresses on the underlay, and the subnet of an earlier run. */
export const placeOf = ({ network }: ScenarioSettings) => {
  const hasIpv4 = !/"EnableIPv4":false/.test(network)
  const hasIpv6 = /"EnableIPv6":true/.test(network)
  return {
    underlay: [...(hasIpv4 ? [underlayAddress] : []), ...(hasIpv6 ? [underlayAddress6] : [])],
    subnetEnv:
      (hasIpv4 ? 'FLANNEL_SUBNET=10.5.1.1/24\n' : '') +
      (hasIpv6 ? 'FLANNEL_IPV6_SUBNET=fc00:0:0:1::1/64\n' : ''),
  }
}

/** Keys under which this host's own record may be. */
export const ownKeys: readonly string[] = ['10.5.1.0-24', '10.5.1.0-24&fc00:0:0:1::-64', 'fc00:0:0:1::-64']

export const agentSettings = ({ resolve, hold, idle, maxNeighbours }: ScenarioSettings): AgentSettings => ({
  resolve,
  idle,
  maxNeighbours,
  removal: { holdMs: hold, brakeHoldMs: Millis.of(10 * hold), brakeShare: 0.3, brakeCount: 10 },
  iface: [underlayName],
  ifaceRegex: [],
  ifaceCanReach: undefined,
  publicIp: undefined,
  subnet: undefined,
  publicIp6: undefined,
  device: undefined,
  checksumOffload: undefined,
  onConflict: 'renumber',
  onConfigChange: 'hold',
  leaseTtlSeconds: 86_400,
  resyncMs: 60_000,
  filter: { masquerade: true, fullyRandom: true, acceptForwarded: false },
})

/** The real agent on an etcd and a disk in memory; which kernel it gets is the ring's choice. */
export class ScenarioAgent {
  readonly host = new MemoryHost('me', ownMac)
  readonly store = new MemoryLeaseStore()
  readonly filter = new MemoryPacketFilter()
  readonly #settings: AgentSettings
  readonly #orders$ = new Subject<void>()
  readonly #time: VirtualTime
  #running: Subscription | undefined
  #died: Error | undefined
  view: AgentView | undefined

  constructor(time: VirtualTime, settings: ScenarioSettings) {
    this.#time = time
    this.#settings = agentSettings(settings)
    this.host.subnetEnv = placeOf(settings).subnetEnv
    this.store.writeConfig(settings.network)
  }

  start(kernel: Kernel): void {
    this.#running = agent$(this.#world(kernel), this.#settings, this.#orders$).subscribe({
      next: (view) => (this.view = view),
      error: (error: unknown) => (this.#died = new Error('the agent ended', { cause: error })),
    })
  }

  /** What `tweed plan` would print, once it has its answers. */
  plan(kernel: Kernel): { lines?: readonly string[] } {
    const planned: { lines?: readonly string[] } = {}
    plan$(this.#world(kernel), this.#settings).subscribe({
      next: (lines) => (planned.lines = lines),
      error: (error: unknown) => (this.#died = new Error('there is no plan', { cause: error })),
    })
    return planned
  }

  #world(kernel: Kernel): World {
    const { store, host, filter } = this
    return { kernel, store, host, filter, clock: this.#time.clock }
  }

  /** As kill -9 does: nothing is tidied up. */
  stop(): void {
    this.#running?.unsubscribe()
    this.#running = undefined
  }

  mustLive(): void {
    if (this.#died) throw this.#died
  }

  /** Plays what concerns etcd or the disk; whether it did. */
  play(action: Action): boolean {
    const { store, host } = this
    switch (action.kind) {
      case 'put':
        store.put(action.key, action.value)
        return true
      case 'delete':
        store.delete(action.key)
        return true
      case 'leave': {
        const record = store.records.find(({ key }) => key === action.key)
        if (!record) throw new Error(`${action.key} can't leave: it isn't there`)
        store.put(action.key, JSON.stringify({ ...(JSON.parse(record.value) as object), Leaving: true }))
        store.delete(action.key)
        return true
      }
      case 'config':
        store.writeConfig(action.value)
        return true
      case 'etcd':
        if (action.what === 'compacts') store.compact()
        else if (action.what === 'up') store.connect()
        else store.disconnect()
        return true
      case 'renumber':
        this.#orders$.next()
        return true
      case 'forget':
        host.saved = undefined
        host.peers = []
        return true
      case 'start':
      case 'stop':
      case 'restart':
      case 'packet':
      case 'by hand':
      case 'overrun':
      case 'wait':
      case 'kernel refuses':
      case 'kernel accepts':
        return false
    }
  }
}
