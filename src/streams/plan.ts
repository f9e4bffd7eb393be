import { concatMap, forkJoin, map, type Observable, of, throwError } from 'rxjs'
import { Fault } from '../core/fault.ts'
import { Forwarding } from '../core/forwarding.ts'
import type { Dump } from '../core/kernel/rows.ts'
import type { VxlanSpec } from '../core/kernel/link.ts'
import { planLink } from '../core/kernel/link-notation.ts'
import { printOp } from '../core/kernel/notation.ts'
import { admit } from '../core/overlay/admission.ts'
import type { OwnContext } from '../core/overlay/own.ts'
import type { StoredRecord } from '../core/overlay/record.ts'
import { parseSubnetKey } from '../core/overlay/subnet-key.ts'
import { vxlanSpec } from '../core/overlay/vxlan-spec.ts'
import type { Interfaces, Kernel } from '../ports/kernel.ts'
import type { StoreView } from '../ports/lease-store.ts'
import { identity$ } from './identity.ts'
import { adopt } from './network.ts'
import type { AgentSettings, World } from './world.ts'

/**
 * What an agent with these settings would change in the kernel now, as commands; changes nothing, neither here
 * nor in etcd. A comment line says what can't be known without acting.
 */
export const plan$ = (world: World, settings: AgentSettings): Observable<readonly string[]> =>
  forkJoin({
    view: world.store.read$(),
    saved: world.host.load$(),
    interfaces: world.kernel.interfaces$(),
  }).pipe(
    concatMap(({ view, saved, interfaces }) => {
      const state = adopt({ kind: 'none', fault: Fault.of('config-missing') }, view.config, undefined)
      if (state.kind === 'none') return throwError(() => state.fault)
      return identity$(world, settings, { saved, network$: of(state.network) }).pipe(
        concatMap((found) => {
          if (found.kind === 'none') return throwError(() => found.fault)
          const { me, underlay } = found
          const context: OwnContext = { config: state.network.config, identity: me, lease: undefined }
          const lease = ownLeaseIn(view, context)
          if (!lease)
            return of(['# no subnet is leased yet: tweed agent would claim one and make the device for it'])
          const spec = vxlanSpec({ config: context.config, me, lease, underlay, device: settings.device })
          if (!spec) return throwError(() => Fault.of('config-invalid'))
          return rows$(world, settings, {
            spec,
            view,
            interfaces,
            own: { ...context, lease },
            underlay: underlay.name,
          })
        }),
      )
    }),
  )

interface Standing {
  readonly spec: VxlanSpec
  readonly view: StoreView
  readonly interfaces: Interfaces
  readonly own: OwnContext
  readonly underlay: string
}

function rows$(world: World, settings: AgentSettings, standing: Standing): Observable<readonly string[]> {
  const { spec, view, interfaces, own } = standing
  const link = interfaces.links.find((l) => l.name === spec.name)
  const linkLines = planLink(spec, standing.underlay, { link, addresses: interfaces.addresses })
  return dumpOf$(world.kernel, link?.index).pipe(
    map((dump) => {
      const now = world.clock.now()
      const forwarding = new Forwarding(settings)
      forwarding.setOwn(own, now)
      forwarding.setLink(link?.index ?? 0)
      forwarding.dumped(dump, now)
      forwarding.records({ kind: 'snapshot', records: view.records }, view.revision, now)
      return [...linkLines, ...forwarding.take(now, Infinity).map((op) => printOp(op, spec.name))]
    }),
  )
}

const nothing: Dump = { rows: [], idleMsByMac: new Map() }
const dumpOf$ = (kernel: Kernel, link: number | undefined): Observable<Dump> =>
  link === undefined ? of(nothing) : kernel.dump$(link)

function ownLeaseIn(view: StoreView, context: OwnContext): OwnContext['lease'] {
  const own = view.records.filter((record) => admit(record, context).kind === 'own')
  const newest = own.reduce<StoredRecord | undefined>(
    (a, b) => (a && a.modRevision > b.modRevision ? a : b),
    undefined,
  )
  const key = newest && parseSubnetKey(newest.key)
  return newest && key && { key: newest.key, ...key, leaseId: newest.leaseId }
}
