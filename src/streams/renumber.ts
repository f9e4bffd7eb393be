import { filter, map, type Observable, scan, take } from 'rxjs'
import { printSubnets } from '../core/overlay/subnet-key.ts'
import type { Renumbering } from '../core/status.ts'
import type { AgentState } from './agent-state.ts'
import type { AgentView } from './agent.ts'
import { sameAs } from './operators/same-as.ts'

/** The network that an order to renumber is about: announced, or already on its way in. */
export const renumberingTo = ({ network, standing }: AgentState): number | undefined => {
  if (network?.announced) return network.announced.stored.modRevision
  const { modRevision } = network?.stored ?? {}
  return standing && modRevision !== standing.network.stored.modRevision ? modRevision : undefined
}

interface Progress {
  /** Files that were written since this host stands in the network. */
  readonly written: ReadonlySet<string>
  /** What it owed the kernel then has been written. */
  readonly settled: boolean
  readonly view: AgentView | undefined
}
const noProgress: Progress = { written: new Set(), settled: false, view: undefined }

/** From the order until lease, files, devices and rows are those of the network with that revision, or a later one. */
export const renumbered$ = (
  views$: Observable<AgentView>,
  { before, modRevision }: { readonly before: AgentState; readonly modRevision: number },
): Observable<Renumbering> =>
  views$.pipe(
    scan((progress: Progress, view): Progress => {
      const { event, state } = view
      if (event.kind === 'standing') return { ...noProgress, view }
      const isThere = (state.standing?.network.stored.modRevision ?? 0) >= modRevision
      if (!isThere) return { ...noProgress, view }
      const written = new Set(progress.written)
      if (event.kind === 'fault' && !event.fault) written.add(event.of)
      const settles = event.kind === 'outcome' && event.outcome.kind === 'settled' && isInPlace(view)
      return { written, settled: progress.settled || settles, view }
    }, noProgress),
    filter(({ written, settled }) => settled && written.has('state') && written.has('subnet.env')),
    take(1),
    map(({ view }) => ({
      renumbered: true,
      fields: before.network?.announced?.fields ?? [],
      from: before.lease ? printSubnets(before.lease.lease) : null,
      to: view?.state.lease ? printSubnets(view.state.lease.lease) : null,
    })),
  )

/** The devices are those that this host should have, and the kernel is owed nothing. */
const isInPlace = ({ state, forwarding }: AgentView): boolean => {
  const specs = state.standing?.specs ?? []
  const devices = [...state.devices.values()].map(({ spec }) => spec)
  return (
    state.placed.size === 2 &&
    state.dumped &&
    devices.length === specs.length &&
    specs.every((spec) => devices.some((device) => sameAs(device, spec))) &&
    forwarding.planes.every(
      ({ tables }) => tables.fdb.pending + tables.neighbours.pending + tables.routes.pending === 0,
    )
  )
}
