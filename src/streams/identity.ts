import {
  combineLatest,
  defer,
  distinctUntilChanged,
  interval,
  map,
  NEVER,
  type Observable,
  Subject,
  switchMap,
  tap,
} from 'rxjs'
import { Fault } from '../core/fault.ts'
import type { Ip } from '../core/net/ip.ts'
import { Ipv4 } from '../core/net/ipv4.ts'
import { Mac } from '../core/net/mac.ts'
import type { NetworkConfig } from '../core/overlay/network-config.ts'
import type { OwnIdentity } from '../core/overlay/own.ts'
import { chooseUnderlay, type Underlay, whyIdle } from '../core/overlay/underlay.ts'
import { deviceName, deviceName6 } from '../core/overlay/vxlan-spec.ts'
import type { Host, SavedState } from '../ports/host.ts'
import type { Interfaces } from '../ports/kernel.ts'
import type { LeaseStore } from '../ports/lease-store.ts'
import type { Network } from './network.ts'
import { sameAs } from './operators/same-as.ts'
import { type Sight, sights$ } from './sights.ts'
import type { AgentSettings, World } from './world.ts'

export type IdentityState =
  | {
      readonly kind: 'identity'
      readonly me: OwnIdentity
      readonly underlay: Underlay
      /** Why nothing goes through the underlay for the moment. */
      readonly fault: Fault | undefined
    }
  /** Not known, or not any more: who we were stays in force. */
  | { readonly kind: 'none'; readonly fault: Fault }

/** How soon an underlay that was not there is looked for although nothing happened. */
const searchMs = 5000

/**
 * Who we are: the underlay interface, the address that it gives us, the host id, the MAC of our VTEP. The underlay is
 * followed; id and MAC stay what they were at first, since peers know us by them.
 */
export const identity$ = (
  world: Pick<World, 'kernel' | 'host' | 'clock' | 'store'>,
  settings: AgentSettings,
  from: { readonly saved: SavedState | undefined; readonly network$: Observable<Network> },
): Observable<IdentityState> =>
  defer(() => {
    const { ifaceCanReach: canReach, resyncMs } = settings
    const missing$ = new Subject<boolean>()
    const again$ = missing$.pipe(
      distinctUntilChanged(),
      switchMap((missing) => (missing ? interval(searchMs) : NEVER)),
    )
    const identify = identifier(world.host, settings, from.saved)
    const seen$ = sights$(world, { canReach, again$, resyncMs }).pipe(tap(cutter(world.store)))
    return combineLatest([seen$, from.network$]).pipe(
      map(([sight, { config }]) => (sight.kind === 'none' ? sight : identify(sight, config))),
      distinctUntilChanged((a, b) => sameAs(a, b)),
      tap(({ kind }) => missing$.next(kind === 'none')),
    )
  })

type Seen = Extract<Sight, { readonly kind: 'seen' }>

/** Before anything is asked of etcd again. */
function cutter(store: LeaseStore): (sight: Sight) => void {
  let had: readonly Ip[] = []
  return (sight) => {
    if (sight.kind === 'none') return
    const has = sight.interfaces.addresses.map(({ address }) => address.address)
    const lost = had.filter((ip) => !has.includes(ip))
    had = has
    if (lost.length > 0) store.cutFrom(lost)
  }
}

/** Remembers what must not change: where there is no machine-id, every look would give another id. */
function identifier(
  host: Host,
  settings: AgentSettings,
  saved: SavedState | undefined,
): (seen: Seen, config: NetworkConfig) => IdentityState {
  let known = saved?.node
  const macs = new Map<string, Mac>()
  return ({ interfaces, reach }, config) => {
    const { iface: names, ifaceRegex: patterns } = settings
    const chosen = chooseUnderlay(interfaces, { names, patterns, reach })
    if (typeof chosen === 'string') return { kind: 'none', fault: Fault.of('underlay-missing', chosen) }
    const publicIp = settings.publicIp ?? chosen.address
    const publicIp6 = chosen.address6
    const named = config.ipv4 ? (publicIp ?? publicIp6) : (publicIp6 ?? publicIp)
    if (named === undefined) return noAddress(chosen)
    const node = (known ??= host.nodeId(named))
    const vni = config.backend.kind === 'vxlan' ? config.backend.vni : 0
    const name = settings.device ?? deviceName(vni)
    const macOf = (device: string, seed: string): Mac => {
      const of = `${device} ${String(vni)}`
      const mac =
        macs.get(of) ??
        standingMac(interfaces, device, vni) ??
        savedMac(saved, device) ??
        host.vtepMac(seed, vni)
      macs.set(of, mac) // or whoever sets another on the device would give it to us for good
      return mac
    }
    const ipv4 = publicIp === undefined ? undefined : { publicIp, vtepMac: macOf(name, node) }
    const ipv6 =
      publicIp6 === undefined || !config.ipv6
        ? undefined
        : { publicIp: publicIp6, vtepMac: macOf(deviceName6(name), `${node} IPv6`) }
    const link = interfaces.links.find(({ index }) => index === chosen.link)
    const idle = link && whyIdle(link)
    return {
      kind: 'identity',
      me: { node, ipv4, ipv6 },
      underlay: withOwn(chosen, publicIp, interfaces),
      fault: idle === undefined ? undefined : Fault.of('underlay-missing', idle),
    }
  }
}

/** Packets of the tunnel leave with the public address if the interface has it, behind NAT with its first. */
const withOwn = (underlay: Underlay, publicIp: Ipv4 | undefined, { addresses }: Interfaces): Underlay =>
  addresses.some((a) => a.link === underlay.link && a.address.address === publicIp)
    ? { ...underlay, address: publicIp }
    : underlay

const noAddress = ({ name }: Underlay): IdentityState => ({
  kind: 'none',
  fault: Fault.of('underlay-missing', `interface ${name} has no usable address`),
})

/** A device that stands already keeps its MAC: peers know it. */
function standingMac({ links }: Interfaces, name: string, vni: number): Mac | undefined {
  const link = links.find((l) => l.name === name && l.vxlan?.vni === vni)
  return link?.mac
}

const savedMac = (saved: SavedState | undefined, device: string): Mac | undefined =>
  saved?.device === device ? Mac.parse(saved.vtepMac) : undefined

export const printedIdentity = ({ ipv4 }: OwnIdentity): { publicIp: string; vtepMac: string } => ({
  publicIp: ipv4 ? Ipv4.print(ipv4.publicIp) : '',
  vtepMac: ipv4 ? Mac.print(ipv4.vtepMac) : '',
})
