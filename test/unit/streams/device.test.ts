import { expect } from 'chai'
import { filter, map, NEVER, Subject } from 'rxjs'
import { MemoryKernel } from '../../../src/adapters/memory/kernel.ts'
import { Fault } from '../../../src/core/fault.ts'
import type { VxlanSpec } from '../../../src/core/kernel/link.ts'
import { Port, Vni } from '../../../src/core/net/vni.ts'
import { devices$, type DeviceState } from '../../../src/streams/device.ts'
import { VirtualTime } from '../../support/virtual-time.ts'
import { cidr4, ip4, mac } from '../core/overlay/fixtures.ts'

const spec: VxlanSpec = {
  family: 4,
  name: 'tweed.1',
  vni: Vni.flannel,
  port: Port.linuxVxlan,
  underlay: 1,
  local: ip4('192.0.2.1'),
  mac: mac('02:00:00:00:00:01'),
  mtuBytes: 1450,
  learning: false,
  gbp: false,
  addresses: [cidr4('10.5.1.0/32')],
  overlay: [cidr4('10.5.0.0/16')],
}

describe('device$', () => {
  let time: VirtualTime
  let kernel: MemoryKernel
  let spec$: Subject<VxlanSpec>
  let states: DeviceState[]
  let stop: () => void

  beforeEach(() => {
    time = new VirtualTime()
    kernel = new MemoryKernel({ clock: time.clock, latencyMs: 1 })
    kernel.addDevice('eth0', cidr4('192.0.2.1/24'))
    spec$ = new Subject()
    states = []
    const following = devices$({ kernel, specs$: spec$.pipe(map((one) => [one])), random: () => 0 })
      .pipe(filter(({ family }) => family === 4))
      .subscribe({
        next: (state) => states.push(state),
        error: (error: unknown) => expect.fail(String(error)),
      })
    stop = () => following.unsubscribe()
  })
  afterEach(() => {
    stop()
    time.end()
  })

  const did = () =>
    states.map((state) => {
      if (state.kind === 'none') return state.kind
      return state.kind === 'ready' ? state.link.did : state.fault.code
    })
  const link = () => kernel.namespace.linkNamed('tweed.1')
  const begin = (): void => {
    spec$.next(spec)
    time.advance(50)
    states.length = 0
  }

  it('makes the device', () => {
    spec$.next(spec)
    time.advance(50)
    expect(did()).to.deep.equal(['created'])
    expect(link()).to.deep.include({ mac: spec.mac, mtuBytes: 1450, up: true })
  })

  it('adopts a device that stands already', () => {
    kernel.ensureLink$(spec).subscribe()
    time.advance(50)
    begin()
    kernel.overrun() // which puts everything in doubt
    time.advance(50)
    expect(did()).to.deep.equal(['nothing'])
  })

  it('follows the specification', () => {
    begin()
    spec$.next({ ...spec, mtuBytes: 1400 })
    time.advance(50)
    expect(link()?.mtuBytes).to.equal(1400)
    const before = link()?.index
    const vni = Vni.of(7)
    if (vni !== undefined) spec$.next({ ...spec, vni })
    time.advance(50)
    expect(link()?.vxlan?.vni).to.equal(7)
    expect(link()?.index).not.to.equal(before)
  })

  const deeds: readonly (readonly [string, (k: MemoryKernel) => void])[] = [
    ['sets it down', (k) => k.changeLink('tweed.1', { up: false })],
    ['deletes it', (k) => k.deleteLink('tweed.1')],
    ['gives it another MAC', (k) => k.changeLink('tweed.1', { mac: mac('02:00:00:00:00:99') })],
    [
      'takes its address',
      (k) =>
        k.removeAddress({
          link: link()?.index ?? 0,
          address: cidr4('10.5.1.0/32'),
          scope: 0,
          secondary: false,
        }),
    ],
  ]
  for (const [what, deed] of deeds)
    it(`repairs it when somebody ${what}, and says so`, () => {
      begin()
      deed(kernel)
      time.advance(50)
      expect(states.map(({ kind }) => kind)).to.include('ready')
      expect(link()).to.deep.include({ mac: spec.mac, up: true })
      expect(kernel.namespace.addresses.map(({ address }) => address)).to.deep.include(cidr4('10.5.1.0/32'))
    })

  it('emits after every look, also where nothing had to be done: rows may have gone', () => {
    begin()
    kernel.overrun()
    time.advance(50)
    expect(did()).to.deep.equal(['nothing'])
  })

  it('does not care about other devices', () => {
    begin()
    kernel.changeLink('eth0', { up: false })
    kernel.addAddress({ link: 1, address: cidr4('198.51.100.1/24'), scope: 0, secondary: false })
    time.advance(50)
    expect(states).to.deep.equal([])
  })

  it('tells of a refusal, and tries until there is a device', () => {
    kernel.refuse('ip link add', Fault.of('kernel-denied'), 'always')
    spec$.next(spec)
    time.advance(350)
    expect(did()).to.deep.equal(['kernel-denied', 'kernel-denied', 'kernel-denied', 'kernel-denied'])
    kernel.accept()
    time.advance(150)
    expect(states.at(-1)?.kind).to.equal('ready')
  })

  it('touches nothing before it knows what is wanted', () => {
    const other = devices$({ kernel, specs$: NEVER, random: () => 0 }).subscribe({
      next: () => expect.fail('there is nothing to tell'),
      error: (error: unknown) => expect.fail(String(error)),
    })
    kernel.overrun()
    time.advance(50)
    expect(link()).to.equal(undefined)
    other.unsubscribe()
  })
})
