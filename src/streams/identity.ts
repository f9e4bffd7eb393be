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
import type { Family, Ip } from '../core/net/ip.ts'
import type { Ipv6 } from '../core/net/ipv6.ts'
import type { Ipv4 } from '../core/net/ipv4.ts'
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
      /** In which network. */
      readonly config: NetworkConfig
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
    const chosen = chooseUnderlay(interfaces, { family: config.ipv4 ? 4 : 6, names, patterns, reach })
    if (typeof chosen === 'string') return { kind: 'none', fault: Fault.of('underlay-missing', chosen) }
    const publicIp = settings.publicIp ?? chosen.address
    const publicIp6 = settings.publicIp6 ?? chosen.address6
    if (config.ipv4 && publicIp === undefined) return noAddress(chosen, 4)
    // Nor a key for two families with the data of one: flannel then skips this host altogether.
    if (config.ipv6 && publicIp6 === undefined) return noAddress(chosen, 6)
    const named = config.ipv4 ? publicIp : publicIp6
    if (named === undefined) return noAddress(chosen, 4)
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
    const ipv4 = publicIp === undefined || !config.ipv4 ? undefined : { publicIp, vtepMac: macOf(name, node) }
    const ipv6 =
      publicIp6 === undefined || !config.ipv6
        ? undefined
        : { publicIp: publicIp6, vtepMac: macOf(deviceName6(name), `${node} IPv6`) }
    const link = interfaces.links.find(({ index }) => index === chosen.link)
    const idle = link && whyIdle(link)
    return {
      kind: 'identity',
      config,
      me: { node, ipv4, ipv6 },
      underlay: withOwn(chosen, { publicIp, publicIp6 }, interfaces),
      fault: idle === undefined ? undefined : Fault.of('underlay-missing', idle),
    }
  }
}

/** Packets of the tunnel leave with the public address if the interface has it, behind NAT with its first. */
const withOwn = (underlay: Underlay, own: PublicIps, { addresses }: Interfaces): Underlay => {
  const has = (ip: Ip | undefined): boolean =>
    addresses.some((a) => a.link === underlay.link && a.address.address === ip)
  const { address, address6 } = underlay
  return {
    ...underlay,
    address: has(own.publicIp) ? own.publicIp : address,
    address6: has(own.publicIp6) ? own.publicIp6 : address6,
  }
}
interface PublicIps {
  readonly publicIp: Ipv4 | undefined
  readonly publicIp6: Ipv6 | undefined
}

const noAddress = ({ name }: Underlay, family: Family): IdentityState => ({
  kind: 'none',
  fault: Fault.of(
    'underlay-missing',
    `interface ${name} has no usable IPv${family} address, and the network has IPv${family}: ` +
      `give it one, name another interface with --iface, or set EnableIPv${family} to false`,
  ),
})

/** A device that stands already keeps its MAC: peers know it. */
function standingMac({ links }: Interfaces, name: string, vni: number): Mac | undefined {
  const link = links.find((l) => l.name === name && l.vxlan?.vni === vni)
  return link?.mac
}

const savedMac = (saved: SavedState | undefined, device: string): Mac | undefined => {
  if (saved?.device === device) return Mac.parse(saved.vtepMac)
  return saved?.ipv6?.device === device ? Mac.parse(saved.ipv6.vtepMac) : undefined
}
