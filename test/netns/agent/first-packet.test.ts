import { expect } from 'chai'
import type { Container } from '../../support/container.ts'
import { figures } from '../../support/figures.ts'
import { Lab } from '../../support/lab.ts'

/** A /21 for each host: room for a thousand container addresses. */
const config = { Network: '10.5.0.0/16', SubnetLen: 21, Backend: { Type: 'vxlan' } }

/** What waits in the echo's socket buffer, 500 datagrams, is half a second on a machine that is busy. */
const perSecond = 1000

for (const resolve of ['eager', 'on-miss'] as const)
  describe(`agent: first packets to a thousand addresses (${resolve})`, () => {
    let lab: Lab
    let far: Container
    let farther: Container
    // Each sends once only: its host has not had to do with the others before.
    let senders: readonly Container[]
    const sender = (number: number) => senders[number - 1] ?? far

    before(async () => {
      lab = await Lab.create({ hosts: 4, config, agentFlags: ['--resolve', resolve] })
      await lab.startAgents()
      far = await lab.host(1).addContainer('far', { addresses: 1000 })
      farther = await lab.host(2).addContainer('farther', { addresses: 500 })
      senders = await Promise.all([2, 3, 4].map((number) => lab.host(number).addContainer('sender')))
      await Promise.all([far.answerDatagrams(), farther.answerDatagrams()])
    })
    after(() => lab.destroy())

    const countMisses = async (host: number) => {
      const { misses } = await lab.host(host).status()
      return `${misses.promoted} promoted, ${misses.answered} answered, ${misses.throttled} throttled`
    }

    it('loses none of 1,000 to one host', async () => {
      const { unanswered, received, rttsMs } = await sender(1).firstPackets(far.addresses, perSecond)
      console.log(`        ${figures(rttsMs)}; ${await countMisses(2)}`)
      expect(unanswered).to.deep.equal([])
      expect(received).to.equal(1000)
    })

    it('loses none of 1,000 that go to two hosts in turn', async () => {
      const inTurn = farther.addresses.flatMap((ip, i) => [ip, far.addresses[i] ?? ''])
      const { unanswered, received, rttsMs } = await sender(2).firstPackets(inTurn, perSecond)
      console.log(`        ${figures(rttsMs)}; ${await countMisses(3)}`)
      expect(unanswered).to.deep.equal([])
      expect(received).to.equal(1000)
    })

    it('loses none of 300 that leave as fast as the sender can send', async () => {
      const { unanswered, rttsMs } = await sender(3).firstPackets(far.addresses.slice(0, 300), 1e6)
      console.log(`        ${figures(rttsMs)}; ${await countMisses(4)}`)
      expect(unanswered).to.deep.equal([])
    })
  })
