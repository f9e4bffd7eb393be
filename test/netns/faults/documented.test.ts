import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect } from 'chai'
import { faultPage } from '../../support/faults/page.ts'
import { faultRows } from '../../support/faults/rows.ts'

const root = new URL('../../../', import.meta.url).pathname
const read = (path: string) => readFileSync(join(root, path), 'utf8')
const sources = (folder: string, ending: string) =>
  readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' })
    .filter((file) => file.endsWith(ending))
    .map((file) => ({ file: join(folder, file), text: read(join(folder, file)) }))

describe('the fault matrix', () => {
  const tests = sources('test/netns/faults', '.test.ts')

  it('has the rows 1 to 27 and 32 to 35, and a test for each', () => {
    const expected = [...Array.from({ length: 27 }, (_, i) => i + 1), 32, 33, 34, 35]
    expect(faultRows.map(({ number }) => number)).to.deep.equal(expected)
    const untested = expected.filter((number) => !tests.some(({ text }) => text.includes(`row(${number})`)))
    expect(untested).to.deep.equal([])
  })

  it('is what docs/faults.md says: node --import tsx test/support/faults/page.ts writes it', () => {
    expect(read('docs/faults.md')).to.equal(faultPage())
  })
})
