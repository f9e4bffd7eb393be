import { expect } from 'chai'
import { of } from 'rxjs'
import { MemoryHost } from '../../../src/adapters/memory/host.ts'
import { MemoryKernel } from '../../../src/adapters/memory/kernel.ts'
import { MemoryLeaseStore } from '../../../src/adapters/memory/lease-store.ts'
import type { VxlanSpec } from '../../../src/core/kernel/link.ts'
import { Ip } from '../../../src/core/net/ip.ts'
import { Port, Vni } from '../../../src/core/net/vni.ts'
import { identity$, type IdentityState } from '../../../src/streams/identity.ts'
import { parseScenario } from '../../support/scenario.ts'
import { agentSettings } from '../../support/scenario-agent.ts'
import { VirtualTime } from '../../support/virtual-time.ts'
import { cidr4, config, ip4, mac } from '../core/overlay/fixtures.ts'

const { settings: plain } = parseScenario('', '')
const settings = agentSettings(plain)

/** A store that remembers which connections it was told to cut. */
class CutStore extends MemoryLeaseStore {
  readonly cut: string[] = []
  override readonly cutFrom = (addresses: readonly Ip[]): void => {
    this.cut.push(...addresses.map(Ip.print))
  }
}

describe('identity$', () => {
  let time: VirtualTime
  let kernel: MemoryKernel
  let store: CutStore
  let states: IdentityState[]
  let stop: () => void

  beforeEach(() => {
    time = new VirtualTime()
    kernel = new MemoryKernel({ clock: time.clock, latencyMs: 1 })
    kernel.addDevice('eth0', cidr4('192.0.2.1/24'))
    store = new CutStore()
    states = []
    const world = { kernel, store, host: new MemoryHost('me', mac('02:00:00:00:00:01')), clock: time.clock }
    const network = {
      config: config({}),
      stored: { value: '', modRevision: 1 },
      current: true,
      fault: undefined,
      announced: undefined,
    }
    const following =
      identity$(world, { ...settings, iface: ['eth0'] }, { saved: undefined, network$: of(network) }) // prettier-ignore
        .subscribe({
          next: (state) => states.push(state),
          error: (error: unknown) => expect.fail(String(error)),
        })
    stop = () => following.unsubscribe()
    time.advance(10)
  })
  afterEach(() => {
    stop()
    time.end()
  })

  const last = () => states.at(-1)
  const address = (text: string) => ({ link: 1, address: cidr4(text), scope: 0, secondary: false })
  const move = () => {
    kernel.removeAddress(address('192.0.2.1/24'))
    kernel.addAddress(address('192.0.2.51/24'))
  }
  const said = () =>
    states.map((state) =>
      state.kind === 'none' ? 'none' : Ip.print(state.me.ipv4?.publicIp ?? ip4('0.0.0.0')),
    )

  it('follows the address, tells it once however many notifications it takes, and stays the same host', () => {
    move()
    time.advance(200)
    expect(said()).to.deep.equal(['192.0.2.1', '192.0.2.51'])
    const [before, after] = states
    if (before?.kind !== 'identity' || after?.kind !== 'identity') throw new Error('both are identities')
    expect(after.me.node).to.equal(before.me.node)
    expect(after.me.ipv4?.vtepMac).to.equal(before.me.ipv4?.vtepMac)
    expect(after.underlay.address).to.equal(ip4('192.0.2.51'))
  })

  it('has the connections cut that come from an address that is gone, and no others', () => {
    kernel.addAddress(address('192.0.2.9/24'))
    time.advance(200)
    expect(store.cut).to.deep.equal([])
    move()
    time.advance(200)
    expect(store.cut).to.deep.equal(['192.0.2.1'])
  })

  it('says that there is none while there is none, and looks for it', () => {
    kernel.unheard(() => kernel.removeAddress(address('192.0.2.1/24')))
    kernel.overrun()
    time.advance(200)
    expect(said()).to.deep.equal(['192.0.2.1', 'none'])
    kernel.unheard(() => kernel.addAddress(address('192.0.2.1/24')))
    time.advance(6000)
    expect(said()).to.deep.equal(['192.0.2.1', 'none', '192.0.2.1'])
  })

  it('stays who it is while the interface is down, and says so', () => {
    kernel.changeLink('eth0', { up: false })
    time.advance(200)
    expect(last()).to.deep.include({ kind: 'identity' })
    expect(last()?.fault?.message).to.equal('the underlay interface eth0 is down')
    kernel.changeLink('eth0', { up: true })
    time.advance(200)
    expect(last()?.fault).to.equal(undefined)
  })

  it('keeps its MAC when somebody gives the device another', () => {
    const own = last()
    if (own?.kind !== 'identity' || !own.me.ipv4) throw new Error('there is an identity')
    const { vtepMac, publicIp } = own.me.ipv4
    const spec: VxlanSpec = {
      ...{ family: 4, name: 'tweed.1', vni: Vni.flannel, port: Port.linuxVxlan, underlay: 1 },
      ...{ local: publicIp, mac: vtepMac, mtuBytes: 1450, learning: false, gbp: false },
      addresses: [],
      overlay: [],
    }
    kernel.ensureLink$(spec).subscribe()
    time.advance(10)
    kernel.changeLink('tweed.1', { mac: mac('02:00:00:00:00:99') })
    time.advance(200)
    move() // which makes it look and tell
    time.advance(200)
    const now = last()
    expect(now?.kind === 'identity' && now.me.ipv4?.vtepMac).to.equal(vtepMac)
  })
})
