import { concatMap, type Observable, scan } from 'rxjs'
import type { Family } from '../core/net/ip.ts'
import type { Kernel } from '../ports/kernel.ts'
import type { DeviceState } from './device.ts'
import { type Upkeep, upkeep$ } from './remember.ts'

interface Devices {
  /** Of every family that is settled: the name of its device, or that it has none. */
  readonly placed: ReadonlyMap<Family, string | undefined>
  /** Those that may stand in the kernel. */
  readonly known: ReadonlySet<string>
  readonly outgrown: readonly string[]
}

/**
 * Another network, name or VNI has made other devices, or left a family without: what an earlier one had goes once all
 * that are wanted are in place.
 */
export const dropOutgrown$ = (
  kernel: Kernel,
  saved: readonly string[],
  devices$: Observable<DeviceState>,
): Observable<Upkeep> =>
  devices$.pipe(
    scan(settle, { placed: new Map(), known: new Set(saved), outgrown: [] }),
    concatMap(({ outgrown }) => outgrown),
    concatMap((name) => upkeep$('old device', kernel.removeLink$(name))),
  )

const settle = (devices: Devices, state: DeviceState): Devices => {
  const placed = new Map(devices.placed)
  if (state.kind === 'failed') placed.delete(state.family)
  else placed.set(state.family, state.kind === 'ready' ? state.spec.name : undefined)
  const standing = [...placed.values()].filter((name) => name !== undefined)
  const known = new Set([...devices.known, ...standing])
  if (placed.size < 2) return { placed, known, outgrown: [] }
  return {
    placed,
    known: new Set(standing),
    outgrown: [...known].filter((name) => !standing.includes(name)),
  }
}
