import { expect } from 'chai'
import { readScenarios, tablesAfter } from '../support/scenario-files.ts'
import { LinuxWorld } from '../support/scenario-linux.ts'

describe('scenarios on Linux', () => {
  for (const scenario of readScenarios()) {
    if (scenario.settings.onlyMemory !== undefined) continue // the file says why
    it(`${scenario.name}: ${scenario.about}`, async () => {
      const world = await LinuxWorld.begin(scenario.settings)
      try {
        let expected = await world.tables()
        for (const [n, step] of scenario.steps.entries()) {
          await world.play(step.action)
          if (!step.change && scenario.steps[n + 1]?.action.kind === step.action.kind) continue // twenty at once
          await world.settle()
          if (!step.change) continue
          expected = tablesAfter(expected, step)
          expect(await world.tables(expected), `line ${step.line}: ${step.text}`).to.deep.equal(expected)
        }
      } finally {
        await world.end()
      }
    })
  }
})
