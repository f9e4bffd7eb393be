import { expect } from 'chai'
import { Lab, prefix } from '../../support/lab.ts'
import { dualConfig, etcdFlags, ipv6Config, told, twoContainers } from '../../support/overlay.ts'
import { lostDuring } from '../../support/traffic.ts'

for (const [name, ipv6, config, given] of [
  [
    'two families',
    true,
    dualConfig,
    { subnet: '10.5.52.0/24,fc00:0:0:52::/64', for: '192.0.2.11', other: '192.0.2.99' },
  ],
  [
    'IPv6 alone',
    'only',
    ipv6Config,
    { subnet: 'fc00:0:0:52::/64', for: '2001:db8::11', other: '2001:db8::99' },
  ],
] as const)
  describe(`agent: a reservation in a network of ${name}`, () => {
    let lab: Lab
    const below = ipv6 === 'only' ? 'ipv6/subnets' : 'subnets'
    const key = `${prefix}/${below}/${given.subnet.replaceAll('/', '-').replace(',', '&')}`

    before(async () => {
      lab = await Lab.create({ hosts: 2, ipv6, config })
    })
    after(() => lab.destroy())

    const entry = async () => (await lab.etcdEntries()).find((each) => each.key === key)
    const list = async () => (await lab.host(2).tweed('reserve', '--list', ...etcdFlags(lab))).stdout

    it('is written without a lease, listed, and taken by its host', async () => {
      const reserved = await lab.host(2).tweed('reserve', given.subnet, '--for', given.for, ...etcdFlags(lab))
      expect(told(reserved)).to.equal(`exit 0\n${given.subnet} is reserved for ${given.for}\n`)
      expect(await entry()).to.include({ isLeased: false })
      expect(await list()).to.match(new RegExp(`^${given.subnet} +${given.for} +waiting$`, 'm'))
      const { lease } = await (await lab.host(1).startAgent()).waitReady()
      expect(lease).to.include({ subnet: given.subnet, leaseId: '0', remainingSeconds: null })
      expect(await list()).to.match(new RegExp(`^${given.subnet} +${given.for}.* in use$`, 'm'))
    })

    it('carries packets like a lease, and through a restart: 0 lost', async () => {
      await (await lab.host(2).startAgent()).waitReady()
      const [a, b] = await twoContainers(lab)
      const lost = await lostDuring(a, b, async () => {
        await lab.host(1).agent?.kill()
        await (await lab.host(1).startAgent()).waitReady()
      })
      expect(lost).to.equal(0)
      expect(await entry()).to.include({ isLeased: false })
    })

    it('refuses it to somebody else, and writes nothing', async () => {
      const revision = await lab.etcdRevision()
      const refused = await lab
        .host(2)
        .tweed('reserve', given.subnet, '--for', given.other, ...etcdFlags(lab))
      expect(refused.code, told(refused)).to.not.equal(0)
      expect(await lab.etcdRevision()).to.equal(revision)
    })
  })
