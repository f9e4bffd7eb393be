import { expect } from 'chai'
import { readScenarios, tablesAfter } from '../support/scenario-files.ts'
import type { Action } from '../support/scenario.ts'
import { MemoryWorld } from '../support/scenario-memory.ts'
import { replays, finalTables } from '../support/scenario-replay.ts'

describe('scenarios on a kernel in memory', () => {
  for (const scenario of readScenarios()) {
    it(`${scenario.name}: ${scenario.about}`, () => {
      const world = new MemoryWorld(scenario.settings)
      try {
        let expected = world.tables()
        for (const step of scenario.steps) {
          world.play(step.action)
          world.settle()
          if (!step.change) continue
          expected = tablesAfter(expected, step)
          expect(world.tables(), `line ${step.line}: ${step.text}`).to.deep.equal(expected)
        }
      } finally {
        world.end()
      }
    })
  }
})

describe('the way there does not matter', () => {
  for (const scenario of readScenarios()) {
    if (scenario.settings.dependsOnTheWay !== undefined) continue
    for (const replay of replays)
      it(`${scenario.name}, ${replay.name}`, () => {
        expect(replay.finalTables(scenario)).to.deep.equal(finalTables(scenario.settings, scenario.steps))
      })
  }
})

describe('tweed plan', () => {
  const untold: readonly Action['kind'][] = ['etcd', 'stop', 'config', 'kernel refuses', 'overrun']
  const different = [
    'record-turns-bad', // the agent knows the good record from before; whoever starts now doesn't
    'resync', // rows go unheard
    ...['route-conflict', 'dual-stack-route-conflict', 'takeover'], // the route is owed for as long as somebody else's is in its place
  ]
  const settling = readScenarios().filter(
    ({ name, settings, steps }) =>
      settings.resolve === 'eager' &&
      !different.includes(name) &&
      !steps.some(({ action }) => untold.includes(action.kind)),
  )
  for (const { name, settings, steps } of settling)
    it(`has nothing to change after any step of ${name}, whoever is held`, () => {
      const world = new MemoryWorld(settings)
      try {
        for (const { action, change, text } of steps) {
          world.play(action)
          world.settle()
          if (change) expect(world.plan(), text).to.deep.equal([])
        }
      } finally {
        world.end()
      }
    })
})
