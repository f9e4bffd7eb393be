import { expect } from 'chai'
import type { AgentProcess } from '../../support/agent.ts'
import { etcdFlags, fileFlags, statusBecomes, told } from '../../support/overlay.ts'
import { Lab } from '../../support/lab.ts'
import type { Host } from '../../support/host.ts'
import { eventually } from '../../support/process.ts'

/** So many processes start on few cores. */
const patienceMs = 90_000

/** Without a SubnetMin the first subnet would stay free. */
const network = (cidr: string) => ({
  Network: cidr,
  SubnetLen: 24,
  SubnetMin: cidr.replace(/\/.*/, ''),
  Backend: { Type: 'vxlan' },
})

const ownSubnet = async (host: Host) => (await host.status()).lease?.subnet
const subnetsInEtcd = async (lab: Lab) =>
  (await lab.etcdEntries())
    .filter(({ key }) => key.includes('/subnets/'))
    .map(({ key }) => key.replace(/.*\//, '').replace('-', '/'))

describe('agent: twenty that start in the same instant on 32 subnets', () => {
  let lab: Lab
  let agents: readonly AgentProcess[]

  before(async () => {
    lab = await Lab.create({ hosts: 20, config: network('10.5.0.0/19') })
    agents = await Promise.all(lab.hosts.map((host) => host.startAgent()))
  })
  after(() => lab.destroy())

  it('gives each a subnet of its own, and none exits', async () => {
    const ready = await Promise.all(agents.map((agent) => agent.waitReady(patienceMs)))
    const subnets = ready.map(({ lease }) => lease?.subnet ?? 'none')
    expect(new Set(subnets)).to.have.length(20)
    expect(subnets).not.to.include('none')
    expect([...(await subnetsInEtcd(lab))].sort()).to.deep.equal([...subnets].sort())
    expect(agents.filter((agent) => agent.running)).to.have.length(20)
  })

  it('makes each know and program the nineteen others', async () => {
    for (const host of lab.hosts) {
      await statusBecomes(host, '19 peers', ({ peers }) => peers.programmed === 19, patienceMs)
      expect((await host.tables()).fdb).to.have.length(19)
    }
  })

  it('writes nothing to etcd when all are killed and start again in the same instant', async () => {
    const revision = await lab.etcdRevision()
    await Promise.all(lab.hosts.map(async (host) => host.agent?.kill()))
    agents = await Promise.all(lab.hosts.map((host) => host.startAgent()))
    await Promise.all(agents.map((agent) => agent.waitReady(patienceMs)))
    for (const host of lab.hosts) {
      const { lease } = await statusBecomes(
        host,
        'its lease',
        ({ lease }) => lease?.state === 'owned',
        patienceMs,
      )
      expect(lease?.remainingSeconds).to.be.greaterThan(0)
    }
    expect(await lab.etcdRevision()).to.equal(revision)
  })
})

describe('agent: five that want one of four subnets', () => {
  let lab: Lab
  let fifth: Host

  before(async () => {
    lab = await Lab.create({ hosts: 5, config: network('10.5.0.0/22') })
    await Promise.all(lab.hosts.map((host) => host.startAgent()))
  })
  after(() => lab.destroy())

  it('gives four one each; the fifth lives, and says that the subnets are exhausted', async () => {
    const subnets = await eventually(
      'four with a subnet',
      async () => {
        const found = await Promise.all(lab.hosts.map((host) => ownSubnet(host).catch(() => undefined)))
        return found.filter((subnet) => subnet !== undefined).length === 4 ? found : undefined
      },
      patienceMs,
    )
    fifth = lab.host(subnets.indexOf(undefined) + 1)
    expect(new Set(subnets)).to.have.length(5)
    const { health } = await statusBecomes(
      fifth,
      'subnets-exhausted',
      (status) => status.health.reasons.some(({ code }) => code === 'subnets-exhausted'),
      patienceMs,
    )
    expect(health.state).to.equal('down')
    expect(fifth.agent?.running).to.equal(true)
    expect(await subnetsInEtcd(lab)).to.have.length(4)
  })

  it('gives the fifth the subnet of one that leaves', async () => {
    const leaver = lab.hosts.find((host) => host !== fifth) ?? fifth
    const subnet = await ownSubnet(leaver)
    const left = await leaver.tweed('leave', ...etcdFlags(lab), ...fileFlags(leaver))
    expect(left.code, told(left)).to.equal(0)
    const status = await fifth.agent?.waitReady(patienceMs)
    expect(status?.lease?.subnet).to.equal(subnet)
    expect(await subnetsInEtcd(lab)).to.have.length(4)
  })
})

describe('agent: ten that start in the same instant in dual stack on 16 IPv4 subnets', () => {
  let lab: Lab
  const config = { ...network('10.5.0.0/20'), EnableIPv6: true, IPv6Network: 'fc00::/48' }

  before(async () => {
    lab = await Lab.create({ hosts: 10, ipv6: true, config })
    await Promise.all(lab.hosts.map((host) => host.startAgent()))
  })
  after(() => lab.destroy())

  it('gives each a subnet of its own in both families, and makes each know the nine others', async () => {
    for (const host of lab.hosts)
      await statusBecomes(host, '9 peers', ({ peers }) => peers.programmed === 9, patienceMs)
    const subnets = await Promise.all(lab.hosts.map((host) => ownSubnet(host)))
    expect(new Set(subnets.flatMap((both) => both?.split(',')))).to.have.length(20)
    expect(await subnetsInEtcd(lab)).to.have.length(10)
  })
})
