import { readdirSync, readFileSync } from 'node:fs'
import { expect } from 'chai'
import { parseScenario, type Scenario, type Step } from './scenario.ts'

const folder = new URL('../scenarios/', import.meta.url)

/** Every scenario that there is, by name. */
export const readScenarios = (): readonly Scenario[] =>
  readdirSync(folder)
    .filter((file) => file.endsWith('.scenario'))
    .sort()
    .map((file) => parseScenario(file.replace('.scenario', ''), readFileSync(new URL(file, folder), 'utf8')))

/** What a step leaves of the tables that were there before it. */
export const tablesAfter = (before: readonly string[], { change, line }: Step): readonly string[] => {
  if (!change) return before
  expect(before, `line ${line}: what goes has to be there`).to.include.members([...change.removed])
  expect(
    change.added.filter((row) => before.includes(row)),
    `line ${line}: what comes is there already`,
  ).to.be.empty
  return [...before.filter((row) => !change.removed.includes(row)), ...change.added].sort()
}
