import { expect } from 'chai'
import type { Container } from '../../support/container.ts'
import { Lab } from '../../support/lab.ts'
import { dualConfig, fdbOf, peerBecomes, tableLines, twoContainers } from '../../support/overlay.ts'
import { eventually } from '../../support/process.ts'

const device6 = 'tweed-v6.1'

describe('agent: dual stack, on-miss with --idle', () => {
  let lab: Lab
  let a: Container
  let b: Container
  const rows6 = async () =>
    (await tableLines(lab.host(1), device6)).filter((line) => line.includes('fc') || line.startsWith('fdb'))
  const subnetOf = async (host: number) => (await lab.host(host).status()).lease?.subnet ?? ''

  before(async () => {
    const agentFlags = ['--resolve', 'on-miss', '--idle', '2s']
    lab = await Lab.create({ hosts: 2, ipv6: true, config: dualConfig, agentFlags })
    await lab.startAgents()
    ;[a, b] = await twoContainers(lab)
  })
  after(() => lab.destroy())

  it('makes rows of the family that is used, and loses no packet over rounds of expiry and use', async () => {
    for (let round = 0; round < 3; round++) {
      expect((await a.ping(b.address6)).received, `round ${String(round)}`).to.equal(1)
      await peerBecomes(lab.host(1), await subnetOf(2), (peer) => peer?.state === 'programmed')
      expect(await fdbOf(lab.host(1), device6)).to.deep.equal(['2001:db8::12'])
      expect(await fdbOf(lab.host(1), 'tweed.1')).to.deep.equal([])
      await peerBecomes(lab.host(1), await subnetOf(2), (peer) => peer?.state === 'idle')
      await eventually('no row but the route of the overlay', async () => {
        const lines = await rows6()
        return lines.length === 1 && lines[0]?.startsWith('route fc00::/48 via - ') ? true : undefined
      })
    }
  })

  it('keeps one family and lets the other go', async () => {
    const stream = await a.pingStream(b.address6)
    expect((await a.ping(b.address)).received).to.equal(1)
    await eventually('the IPv4 rows are there', async () =>
      (await fdbOf(lab.host(1), 'tweed.1')).length === 1 ? true : undefined,
    )
    await eventually('the IPv4 rows are gone', async () =>
      (await fdbOf(lab.host(1), 'tweed.1')).length === 0 ? true : undefined,
    )
    expect(await fdbOf(lab.host(1), device6)).to.deep.equal(['2001:db8::12'])
    await stream.nextAnswer()
    expect((await stream.stop()).lost).to.equal(0)
  })
})
