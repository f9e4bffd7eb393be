import { MemoryWorld } from './scenario-memory.ts'
import { ownKeys } from './scenario-agent.ts'
import type { Action, Scenario, ScenarioSettings, Step } from './scenario.ts'

type Steps = readonly Pick<Step, 'action'>[]

/** A scenario played another way, that has to lead to the same tables. */
export interface Replay {
  readonly name: string
  readonly finalTables: (scenario: Scenario) => readonly string[]
}

/** The tables when everything has come to rest. */
export const finalTables = (settings: ScenarioSettings, steps: Steps): readonly string[] =>
  inWorld(new MemoryWorld(settings), (world) => {
    for (const { action } of steps) {
      world.play(action)
      world.settle()
    }
  })

const inWorld = (world: MemoryWorld, play: (world: MemoryWorld) => void): readonly string[] => {
  try {
    play(world)
    world.rest()
    return world.tables()
  } finally {
    world.end()
  }
}

/** What another host, a fresh kernel and an empty disk make of what etcd holds in the end. */
const afresh = ({ settings, steps }: Scenario): readonly string[] => {
  let records: MemoryWorld['agent']['store']['records'] = []
  let config: string | undefined
  inWorld(new MemoryWorld(settings), (world) => {
    for (const { action } of steps) {
      world.play(action)
      world.settle()
    }
    ;({ records } = world.agent.store)
    config = world.agent.store.config?.value
  })
  const others = records.filter(({ key }) => !ownKeys.includes(key))
  return inWorld(new MemoryWorld(settings, others), (world) => {
    if (config !== undefined) world.play({ kind: 'config', value: config })
    // Whatever somebody else has put into the kernel stays there.
    for (const { action } of steps) if (action.kind === 'by hand') world.play({ ...action, heard: true })
  })
}

const isStore = ({ action: { kind } }: Pick<Step, 'action'>): boolean =>
  kind === 'put' || kind === 'delete' || kind === 'leave' || kind === 'config'
const isKernel = ({ action: { kind } }: Pick<Step, 'action'>): boolean =>
  kind === 'packet' || kind === 'by hand' || kind === 'overrun'

/** All of etcd's news in one batch, then all that happens to the kernel at once. */
const squashed = ({ settings, steps }: Scenario): readonly string[] =>
  inWorld(new MemoryWorld(settings), (world) => {
    world.play({ kind: 'etcd', what: 'down' })
    world.settle()
    for (const { action } of steps.filter(isStore)) world.play(action)
    world.play({ kind: 'etcd', what: 'up' })
    world.settle()
    for (const { action } of steps.filter(isKernel)) world.play(deprivedOfReach(action))
  })

const reversed = ({ settings, steps }: Scenario): readonly string[] => {
  const order: Pick<Step, 'action'>[] = []
  let run: (Step & { readonly action: { readonly kind: 'put' } })[] = []
  const flush = (): void => {
    order.push(...run.toReversed())
    run = []
  }
  for (const step of steps) {
    const { action } = step
    if (action.kind === 'put') {
      const put = { ...step, action }
      if (run.some((other) => !independent(other.action, put.action))) flush()
      run.push(put)
    } else {
      flush()
      order.push({ action: deprivedOfReach(action) })
    }
  }
  flush()
  return finalTables(settings, order)
}

/** Two records that have nothing in common: no key, MAC, address or node. */
const independent = (a: { key: string; value: string }, b: { key: string; value: string }): boolean => {
  const claims = ({ key, value }: { key: string; value: string }): readonly string[] => [
    key,
    ...(value.match(/"(PublicIP|PublicIPv6|VtepMAC|Node)":"[^"]*"/g) ?? []),
  ]
  const those = new Set(claims(b))
  return !claims(a).some((claim) => those.has(claim))
}

const withRestarts = ({ settings, steps }: Scenario): readonly string[] =>
  finalTables(
    settings,
    steps.flatMap(({ action }) => [
      { action: deprivedOfReach(action) },
      ...(isStopped(steps, action) ? [] : restart),
    ]),
  )
const restart: readonly { readonly action: Action }[] = [{ action: { kind: 'restart' } }]

/** Between `stop` and `start` nobody runs who could be restarted. */
const isStopped = (steps: Steps, action: Action): boolean => {
  let running = true
  for (const step of steps) {
    if (step.action.kind === 'stop') running = false
    if (step.action.kind === 'start') running = true
    if (step.action === action) return !running
  }
  return false
}

/** Another way there may lose the packets that this one answered. */
const deprivedOfReach = (action: Action): Action =>
  action.kind === 'packet' ? { ...action, reaches: undefined } : action

export const replays: readonly Replay[] = [
  { name: 'squashed into one step', finalTables: squashed },
  { name: 'with independent leases in reverse', finalTables: reversed },
  { name: 'with a restart after every step', finalTables: withRestarts },
  { name: 'seen by a host that has just been installed', finalTables: afresh },
]
