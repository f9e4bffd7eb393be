import { expect } from 'chai'
import fc from 'fast-check'
import { MemoryWorld } from '../support/scenario-memory.ts'
import { readScenarios } from '../support/scenario-files.ts'
import { Millis } from '../../src/core/time.ts'
import type { Action, ScenarioSettings } from '../support/scenario.ts'

/** What etcd may hold: the records after each step of each scenario. */
type State = ReadonlyMap<string, string>

const statesOf = (): readonly State[] => {
  const states = new Map<string, State>()
  for (const { steps, settings } of readScenarios()) {
    if (settings.dependsOnTheWay !== undefined) continue
    const records = new Map<string, string>()
    for (const { action } of steps) {
      if (action.kind === 'put') records.set(action.key, action.value)
      else if (action.kind === 'delete' || action.kind === 'leave') records.delete(action.key)
      states.set(JSON.stringify([...records]), new Map(records))
    }
  }
  return [...states.values()]
}

const states = statesOf()
const settings = (resolve: ScenarioSettings['resolve']): ScenarioSettings => ({
  ...must(readScenarios()[0]).settings,
  resolve,
})

/** What happens on the way, and should leave no trace. */
const mishaps: readonly Action[] = [
  { kind: 'restart' },
  { kind: 'overrun' },
  { kind: 'etcd', what: 'down' },
  { kind: 'etcd', what: 'up' },
  { kind: 'etcd', what: 'compacts' },
  { kind: 'packet', to: '10.5.2.7', reaches: undefined },
  { kind: 'packet', to: '10.5.30.1', reaches: undefined },
  { kind: 'by hand', heard: true, command: 'ip link set tweed.1 down' },
  { kind: 'by hand', heard: true, command: 'ip link del tweed.1' },
  { kind: 'by hand', heard: true, command: 'ip neigh del 10.5.2.0 dev tweed.1' },
  { kind: 'by hand', heard: false, command: 'ip route del 10.5.2.0/24' },
  { kind: 'by hand', heard: false, command: 'bridge fdb del 02:00:00:00:00:02 dev tweed.1' },
  { kind: 'kernel refuses', times: 'once', code: 'kernel-busy', command: 'ip route' },
  { kind: 'kernel refuses', times: 'once', code: 'kernel-refused', command: 'bridge fdb' },
  { kind: 'kernel refuses', times: 'once', code: 'kernel-busy', command: 'dump' },
  { kind: 'kernel refuses', times: 'once', code: 'kernel-busy', command: 'ip link add' },
]

interface Leg {
  readonly to: State
  readonly mishap: Action | undefined
  readonly waitMs: number
}

const legs = fc.array(
  fc.record<Leg>({
    to: fc.constantFrom(...states),
    mishap: fc.option(fc.constantFrom(...mishaps), { nil: undefined }),
    waitMs: fc.constantFrom(0, 1, 2, 30, 2000, 70_000),
  }),
  { minLength: 1, maxLength: 12 },
)

/** A record that changes is deleted first: one that turns bad would keep its last good meaning. */
const go = (world: MemoryWorld, { to, mishap, waitMs }: Leg): void => {
  const { store } = world.agent
  for (const { key, value } of store.records)
    if (key !== ownKey && to.get(key) !== value) world.play({ kind: 'delete', key })
  const present = new Set(store.records.map(({ key }) => key))
  for (const [key, value] of to) if (!present.has(key)) world.play({ kind: 'put', key, value })
  if (mishap) world.play(mishap)
  world.play({ kind: 'wait', time: Millis.of(waitMs) })
}

const ownKey = '10.5.1.0-24'

const walked = (resolve: ScenarioSettings['resolve'], way: readonly Leg[]) => {
  const world = new MemoryWorld(settings(resolve))
  try {
    for (const leg of way) go(world, leg)
    world.rest()
    return { tables: world.tables(), records: world.agent.store.records }
  } finally {
    world.end()
  }
}

function must<T>(value: T | undefined): T {
  if (value === undefined) throw new Error('there are no scenarios')
  return value
}

describe('random walks over the states of all scenarios', () => {
  const seed = Number(process.env['TWEED_SEED'] ?? Math.floor(Math.random() * 2 ** 31))
  for (const resolve of ['eager', 'on-miss'] as const)
    it(`end in tables that depend on the last state only: ${resolve}, TWEED_SEED=${seed}`, function () {
      this.timeout(120_000)
      fc.assert(
        fc.property(legs, (way) => {
          const { tables, records } = walked(resolve, way)
          const fresh = new MemoryWorld(
            settings(resolve),
            records.filter(({ key }) => key !== ownKey),
          )
          try {
            fresh.rest()
            expect(tables).to.deep.equal(fresh.tables())
          } finally {
            fresh.end()
          }
        }),
        { seed, numRuns: 60 },
      )
    })
})
