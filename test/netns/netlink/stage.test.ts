import { expect } from 'chai'
import { openStage } from '../../../src/adapters/netlink/stage.ts'
import type { Miss, Stage } from '../../../src/ports/kernel.ts'
import { Namespace, add, hostRows, ip } from './namespace.ts'

describe('a stage', () => {
  let namespace: Namespace
  let stage: Stage
  let link: number
  beforeEach(async () => {
    namespace = await Namespace.open()
    link = (await namespace.ensure()).index
    stage = openStage()
  })
  afterEach(async () => {
    stage.close()
    await namespace.close()
  })

  it('hears what it is asked as if the kernel had asked', () => {
    const misses: readonly Miss[] = [
      { link, ip: ip('10.6.1.9'), probe: false },
      { link, ip: ip('198.18.3.4'), probe: true },
      { link, ip: ip('2001:db8::9'), probe: false },
    ]
    const heard: Miss[] = []
    const listening = stage.misses$.subscribe({
      next: (miss) => heard.push(miss),
      error: (error: unknown) => expect.fail(String(error)),
    })
    for (const miss of misses) stage.ask(miss)
    listening.unsubscribe()
    expect(heard).to.deep.equal(misses)
  })

  it('lets no answer out, not even for a device that is there', async () => {
    const rows = Object.values(hostRows(link, 1)).map(add)
    stage.answer(rows)
    expect((await namespace.dump(link)).rows).to.deep.equal([])
    namespace.kernel.answer(rows) // the same answer where it counts
    expect((await namespace.dump(link)).rows).to.have.lengthOf(3)
  })
})
