import { expect } from 'chai'
import { readScenarios, tablesAfter } from '../support/scenario-files.ts'
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
