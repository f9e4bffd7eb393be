import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect } from 'chai'
import { row } from '../../support/faults/rows.ts'

const src = new URL('../../../src/', import.meta.url).pathname
/** What reads the wall clock, and what may: deadlines of gRPC are wall-clock times, and people read time stamps. */
const wallClock = /\bDate\b|timeOrigin|process\.hrtime\.bigint\(\) \/ /
const allowed: Readonly<Record<string, RegExp>> = {
  'adapters/etcd/endpoint.ts': /deadline: Date\.now\(\) \+ /,
  'adapters/etcd/lease.ts': /deadline: Date\.now\(\) \+ /,
  'adapters/host/clock.ts': /export const wallTime = /,
  'commands/agent.ts': /startedAt: new Date\(\)/,
}

describe('etcd under fault: clock', () => {
  it(row(27), () => {
    const files = readdirSync(src, { recursive: true, encoding: 'utf8' }).filter((file) =>
      file.endsWith('.ts'),
    )
    const uses = files.flatMap((file) =>
      readFileSync(join(src, file), 'utf8')
        .split('\n')
        .filter(
          (line) =>
            wallClock.test(line.replace(/\/\/.*|^\s*\*.*|\/\*\*.*/, '')) && !allowed[file]?.test(line),
        )
        .map((line) => `${file}: ${line.trim()}`),
    )
    expect(files.length).to.be.greaterThan(50)
    expect(uses, 'a decision that depends on the wall clock').to.deep.equal([])
  })
})
