import { catchError, concatMap, forkJoin, map, type Observable, of, take, throwError } from 'rxjs'
import { Forwarding } from '../core/forwarding.ts'
import type { Op } from '../core/kernel/rows.ts'
import { families, type Family } from '../core/net/ip.ts'
import type { VxlanSpec } from '../core/kernel/link.ts'
import { planLink } from '../core/kernel/link-notation.ts'
import { replacement } from '../core/kernel/replacement.ts'
import { printOp } from '../core/kernel/notation.ts'
import { allocationCandidates } from '../core/overlay/allocation.ts'
import type { OwnContext } from '../core/overlay/own.ts'
import type { StoredRecord } from '../core/overlay/record.ts'
import { parseSubnetKey, printSubnetKey, printSubnets } from '../core/overlay/subnet-key.ts'
import { vxlanSpecs } from '../core/overlay/vxlan-spec.ts'
import type { SavedState } from '../ports/host.ts'
import type { Interfaces } from '../ports/kernel.ts'
import type { LeaseStore, StoreView } from '../ports/lease-store.ts'
import { identity$ } from './identity.ts'
import { adopt, type NetworkState, ofLastRun } from './network.ts'
import { filterSpec, planFilter$ } from './packet-filter.ts'
import type { AgentSettings, World } from './world.ts'

/**
 * What an agent with these settings would change in the kernel now, as commands; changes nothing, neither here
 * nor in etcd. A comment line says what can't be known without acting.
 */
export const plan$ = (world: World, settings: AgentSettings): Observable<readonly string[]> =>
  forkJoin({
    saved: world.host.load$(),
    peers: world.host.loadPeers$(),
    interfaces: world.kernel.interfaces$(),
  }).pipe(
    concatMap((local) =>
      view$(world.store, settings, local.saved).pipe(map((seen) => ({ ...local, ...seen }))),
    ),
    concatMap(({ state, view, saved, peers, interfaces }) => {
      if (state.kind === 'none') return throwError(() => state.fault)
      return identity$(world, settings, { saved, network$: of(state.network) }).pipe(
        take(1),
        concatMap((found) => {
          if (found.kind === 'none') return throwError(() => found.fault)
          const { me, underlay } = found
          const context: OwnContext = { config: state.network.config, identity: me, lease: undefined }
          const lease = ownLeaseIn(view, context)
          if (!lease)
            return of(['# no subnet is leased yet: tweed agent would claim one and make the device for it'])
          const { device, checksumOffload } = settings
          const specs = vxlanSpecs({ config: context.config, me, lease, underlay, device, checksumOffload })
          const standing = { network: state.network, lease, specs }
          return forkJoin([
            rows$(world, settings, { specs, view, peers, interfaces, own: { ...context, lease } }),
            planFilter$(world.filter, filterSpec(standing, settings.filter)),
          ]).pipe(map(([rows, filter]) => [...announcedLines(state), ...rows, ...filter]))
        }),
      )
    }),
  )

/** The network that an agent would start with, and its records, from where that network has them. */
const view$ = (
  store: LeaseStore,
  { onConfigChange }: AgentSettings,
  saved: SavedState | undefined,
): Observable<{ readonly state: NetworkState; readonly view: StoreView }> =>
  store.read$().pipe(
    concatMap((view) => {
      const lease = saved && parseSubnetKey(saved.lease.key)
      const state = adopt(ofLastRun(saved?.config), view.config, { lease, onConfigChange })
      const isHere = state.kind === 'none' || state.network.config.ipv4 !== undefined
      return (isHere ? of(view) : store.ipv6Only.read$()).pipe(map((records) => ({ state, view: records })))
    }),
  )

const announcedLines = (state: NetworkState): readonly string[] => {
  const announced = state.kind === 'network' ? state.network.announced : undefined
  return announced
    ? [`# ${announced.fields.join(', ')} changed: announced, and nothing below is of it; see tweed renumber`]
    : []
}

interface Standing {
  readonly specs: readonly VxlanSpec[]
  readonly view: StoreView
  /** Those of the last run: an agent would hold them for a while if etcd has them no more. */
  readonly peers: readonly StoredRecord[]
  readonly interfaces: Interfaces
  readonly own: OwnContext
}

function rows$(
  { kernel, clock }: World,
  settings: AgentSettings,
  standing: Standing,
): Observable<readonly string[]> {
  const { specs, view, peers, interfaces, own } = standing
  const nameOf = (index: number): string => interfaces.links.find((l) => l.index === index)?.name ?? ''
  const planned = families.map((family) => {
    const spec = specs.find((each) => each.family === family)
    const link = interfaces.links.find((l) => l.name === spec?.name)
    return { family, spec, facts: link, link: link?.index, made: spec && !link ? spec.name : undefined }
  })
  const made = new Map(planned.map(({ family, made: name }) => [notYet(family), name]))
  const device = ({ row }: Op): string => made.get(row.link) ?? nameOf(row.link)

  const now = clock.now()
  const forwarding = new Forwarding(settings)
  forwarding.setOwn(own, now)
  for (const { family, link, made: name } of planned)
    forwarding.plane(family).setLink(link ?? (name === undefined ? undefined : notYet(family)))
  forwarding.recall(peers, now)
  forwarding.records({ kind: 'snapshot', records: view.records }, view.revision, now)
  return forkJoin({
    dumps: forkJoin(planned.map(({ family, link }) => kernel.dump$({ family, link }))),
    hops: kernel.nextHops$(forwarding.toAsk('all')),
    offloads: forkJoin(planned.map(({ spec, link }) => offload$(kernel, spec, link))),
  }).pipe(
    map(({ dumps, hops, offloads }) => {
      planned.forEach(({ family }, i) => dumps[i] && forwarding.plane(family).dumped(dumps[i], now))
      forwarding.reached(hops, now)
      const ops = forwarding.take(now, Infinity).flatMap(replacement)
      const rows = ops.map((op) => printOp(op, device(op)))
      const { addresses } = interfaces
      const links = planned.flatMap(({ spec, facts: link }, i) =>
        spec ? planLink(spec, nameOf(spec.underlay), { link, addresses, checksumOffload: offloads[i] }) : [],
      )
      return [...moveLines(settings, own), ...links, ...rows]
    }),
  )
}

/** Asked only where it is wanted one way or the other. */
const offload$ = (
  kernel: World['kernel'],
  spec: VxlanSpec | undefined,
  link: number | undefined,
): Observable<boolean | undefined> =>
  spec?.checksumOffload === undefined || link === undefined
    ? of(undefined)
    : kernel.checksumOffload$(link).pipe(catchError(() => of(undefined)))

/** Stands for the interface index of a device that is still to be made. */
const notYet = (family: Family): number => -family

const moveLines = ({ subnet }: AgentSettings, { lease }: OwnContext): readonly string[] =>
  subnet && lease && printSubnetKey(subnet) !== lease.key
    ? [`# tweed agent would first try to move from ${printSubnets(lease)} to ${printSubnets(subnet)}`]
    : []

/** The record that an agent would go on with; one only reserved comes after one that is in use. */
function ownLeaseIn(view: StoreView, { config, identity }: OwnContext): OwnContext['lease'] {
  const from = { config, records: view.records, me: identity, held: undefined, previous: undefined }
  const [best] = allocationCandidates({ ...from, random: () => 0 })
  const record = best && view.records.find(({ key }) => key === best.keyText)
  return record && { key: record.key, ...best.key, leaseId: record.leaseId }
}
