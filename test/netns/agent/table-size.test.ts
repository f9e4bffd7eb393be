import { expect } from 'chai'
import type { Container } from '../../support/container.ts'
import { Lab } from '../../support/lab.ts'
import { statusBecomes } from '../../support/overlay.ts'
import { eventually } from '../../support/process.ts'
import type { KernelTables } from '../../support/tables.ts'

const containersOnOneHost = 200

/** Rows of the three tables; the overlay route of `on-miss` is not a host's. */
const sizes = ({ fdb, neighbours, routes }: KernelTables) => ({
  fdb: fdb.length,
  neighbours: neighbours.length,
  routes: routes.filter((route) => route.gateway !== undefined).length,
})
const ofHosts = (hosts: number) => ({ fdb: hosts, neighbours: hosts, routes: hosts })

for (const resolve of ['eager', 'on-miss'] as const)
  describe(`agent: size of the tables (${resolve})`, () => {
    let lab: Lab
    let sender: Container
    let many: Container
    let single: Container
    const rows = () => lab.host(1).tables().then(sizes)

    before(async () => {
      lab = await Lab.create({ hosts: 3, agentFlags: ['--resolve', resolve] })
      await lab.startAgents()
      sender = await lab.host(1).addContainer('sender')
      many = await lab.host(2).addContainer('many', { addresses: containersOnOneHost })
      single = await lab.host(3).addContainer('single')
      await Promise.all([many.answerDatagrams(), single.answerDatagrams()])
    })
    after(() => lab.destroy())

    it(
      resolve === 'eager' ? 'is the number of hosts from the start' : 'is nothing before traffic',
      async () => {
        expect(await rows()).to.deep.equal(ofHosts(resolve === 'eager' ? 2 : 0))
      },
    )

    it('has as many FDB entries as hosts, with traffic to 200 containers of one', async () => {
      const { received } = await sender.firstPackets(many.addresses)
      expect(received).to.equal(containersOnOneHost)
      expect((await rows()).fdb).to.equal(resolve === 'eager' ? 2 : 1)
    })

    it('has as many neighbours and routes as hosts once promotion is over', async () => {
      const hosts = resolve === 'eager' ? 2 : 1
      await eventually('no rows of single containers', async () =>
        (await rows()).neighbours <= hosts ? true : undefined,
      )
      expect(await rows()).to.deep.equal(ofHosts(hosts))
      const again = await sender.firstPackets(many.addresses)
      expect(again.received).to.equal(containersOnOneHost)
      expect(await rows(), 'a promoted host raises no miss').to.deep.equal(ofHosts(hosts))
    })

    it('grows by the next host in use, and not by hosts without traffic', async () => {
      expect((await sender.firstPackets([single.address])).received).to.equal(1)
      const hosts = JSON.stringify(ofHosts(2))
      await eventually('rows of two hosts alone', async () =>
        JSON.stringify(await rows()) === hosts ? true : undefined,
      )
    })

    it('is what the agent believes', async () => {
      const actual = await rows()
      const isSettled = (count: { desired: number; actual: number }) => count.desired === count.actual
      const { tables } = await statusBecomes(lab.host(1), 'settled', ({ tables: told }) =>
        [told.fdb, told.neighbours, told.routes].every(isSettled),
      )
      const overlayRoute = resolve === 'eager' ? 0 : 1
      expect([tables.fdb.actual, tables.neighbours.actual, tables.routes.actual]).to.deep.equal([
        actual.fdb,
        actual.neighbours,
        actual.routes + overlayRoute,
      ])
    })
  })
