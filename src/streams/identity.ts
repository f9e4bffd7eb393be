import { combineLatest, concatMap, map, type Observable, of, throwError } from 'rxjs'
import { Fault } from '../core/fault.ts'
import { Ipv4 } from '../core/net/ipv4.ts'
import { Mac } from '../core/net/mac.ts'
import type { OwnIdentity } from '../core/overlay/own.ts'
import { chooseUnderlay, type Underlay } from '../core/overlay/underlay.ts'
import { deviceName, deviceName6 } from '../core/overlay/vxlan-spec.ts'
import type { SavedState } from '../ports/host.ts'
import type { Interfaces } from '../ports/kernel.ts'
import type { Network } from './network.ts'
import { retryTold } from './operators/retry-told.ts'
import type { AgentSettings, World } from './world.ts'

export type IdentityState =
  | { readonly kind: 'identity'; readonly me: OwnIdentity; readonly underlay: Underlay }
  | { readonly kind: 'none'; readonly fault: Fault }

/** Who we are: the underlay interface, the address that it gives us, the host id, the MAC of our VTEP. */
export const identity$ = (
  world: Pick<World, 'kernel' | 'host' | 'clock'>,
  settings: AgentSettings,
  from: { readonly saved: SavedState | undefined; readonly network$: Observable<Network> },
): Observable<IdentityState> => {
  const underlay$ = findUnderlay$(world, settings).pipe(
    retryTold<Found | IdentityState>({
      baseMs: 200,
      capMs: 5000,
      random: () => world.clock.random(),
      tell: (fault) => ({ kind: 'none', fault }),
    }),
  )
  let known = from.saved?.node // where there is no machine-id, every look would give another
  return combineLatest([underlay$, from.network$]).pipe(
    map(([found, { config }]) => {
      if (found.kind !== 'found') return found
      const { underlay, interfaces } = found
      const publicIp = settings.publicIp ?? underlay.address
      const publicIp6 = underlay.address6
      const named = config.ipv4 ? (publicIp ?? publicIp6) : (publicIp6 ?? publicIp)
      if (named === undefined) return noAddress(underlay)
      const node = (known ??= world.host.nodeId(named))
      const vni = config.backend.kind === 'vxlan' ? config.backend.vni : 0
      const name = settings.device ?? deviceName(vni)
      const macOf = (device: string, seed: string): Mac =>
        standingMac(interfaces, device, vni) ?? savedMac(from.saved, device) ?? world.host.vtepMac(seed, vni)
      const ipv4 = publicIp === undefined ? undefined : { publicIp, vtepMac: macOf(name, node) }
      const ipv6 =
        publicIp6 === undefined || !config.ipv6
          ? undefined
          : { publicIp: publicIp6, vtepMac: macOf(deviceName6(name), `${node} IPv6`) }
      return { kind: 'identity', me: { node, ipv4, ipv6 }, underlay }
    }),
  )
}

const noAddress = ({ name }: Underlay): IdentityState => ({
  kind: 'none',
  fault: Fault.of('underlay-missing', `interface ${name} has no usable address`),
})

interface Found {
  readonly kind: 'found'
  readonly underlay: Underlay
  readonly interfaces: Interfaces
}

function findUnderlay$({ kernel }: Pick<World, 'kernel'>, settings: AgentSettings): Observable<Found> {
  const reach$ =
    settings.ifaceCanReach === undefined ? of(undefined) : kernel.routeTo$(settings.ifaceCanReach)
  return combineLatest([kernel.interfaces$(), reach$]).pipe(
    concatMap(([interfaces, reach]) => {
      const underlay = chooseUnderlay(interfaces, {
        names: settings.iface,
        patterns: settings.ifaceRegex,
        reach,
      })
      return typeof underlay === 'string'
        ? throwError(() => Fault.of('underlay-missing', underlay))
        : of({ kind: 'found' as const, underlay, interfaces })
    }),
  )
}

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
