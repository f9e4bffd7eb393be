import { expect } from 'chai'
import type { AgentStatus } from '../../../src/core/status.ts'
import { Lab, defaultConfig, prefix } from '../../support/lab.ts'
import { etcdFlags, statusBecomes, tableLines, told, twoContainers } from '../../support/overlay.ts'
import { eventually, run } from '../../support/process.ts'

const vxlan = { Type: 'vxlan' }

/** What is refused, and the field that the message has to name. */
const nonsense: readonly (readonly [what: string, config: unknown, words: RegExp])[] = [
  ['no JSON', '{', /config/],
  ['a list', [], /config/],
  ['no network', { Backend: vxlan }, /Network/],
  ['a network that is none', { Network: '10.5.0.0/33', Backend: vxlan }, /Network.*10\.5\.0\.0\/33/],
  ['a subnet longer than /30', { Network: '10.5.0.0/16', SubnetLen: 31, Backend: vxlan }, /SubnetLen.*31/],
  ['a subnet as large as the network', { Network: '10.5.0.0/16', SubnetLen: 16, Backend: vxlan }, /SubnetLen.*16/], // prettier-ignore
  ['a first subnet outside', { Network: '10.5.0.0/16', SubnetMin: '10.6.0.0', Backend: vxlan }, /SubnetMin.*10\.6\.0\.0/], // prettier-ignore
  ['a first subnet after the last', { Network: '10.5.0.0/16', SubnetMin: '10.5.9.0', SubnetMax: '10.5.8.0', Backend: vxlan }, /SubnetM/], // prettier-ignore
  ['no backend', { Network: '10.5.0.0/16' }, /Backend/],
  ['an unknown backend', { Network: '10.5.0.0/16', Backend: { Type: 'udp' } }, /Backend\.Type.*"udp"/],
  ['a VNI of 25 bits', { Network: '10.5.0.0/16', Backend: { ...vxlan, VNI: 2 ** 24 } }, /Backend\.VNI.*16777216/], // prettier-ignore
  ['a port that is none', { Network: '10.5.0.0/16', Backend: { ...vxlan, Port: 70000 } }, /Backend\.Port.*70000/], // prettier-ignore
  ['an MTU that is none', { Network: '10.5.0.0/16', Backend: { ...vxlan, MTU: 10 } }, /Backend\.MTU.*10/],
  ['neither family', { EnableIPv4: false, Backend: vxlan }, /EnableIPv4/],
]

describe('tweed network', () => {
  let lab: Lab
  before(async () => {
    lab = await Lab.create({ hosts: 1, config: undefined })
  })
  after(() => lab.destroy())
  const network = (...args: readonly string[]) => lab.host(1).tweed('network', ...args, ...etcdFlags(lab))

  it('says where the configuration is missing', async () => {
    const { code, stderr } = await network('get')
    expect(code).to.equal(1)
    expect(stderr).to.match(new RegExp(`^tweed: .*${prefix}/config.*\\n$`))
  })

  it('refuses nonsense with the field and the value, and writes nothing', async () => {
    const revision = await lab.etcdRevision()
    const refusals = await Promise.all(
      nonsense.map(([, config]) =>
        network('set', typeof config === 'string' ? config : JSON.stringify(config)),
      ),
    )
    refusals.forEach((refused, i) => {
      const [what, , words] = nonsense[i] ?? ['', '', /^$/]
      expect(refused.code, what).to.equal(1)
      expect(refused.stderr, what)
        .to.match(words)
        .and.to.match(/^tweed: [^\n]+\n$/)
    })
    expect(await lab.etcdRevision()).to.equal(revision)
  })

  it('writes good configurations as text, from a file and from standard input', async () => {
    const config = JSON.stringify(defaultConfig)
    const set = await network('set', config)
    expect(set.code, told(set)).to.equal(0)
    expect((await lab.etcdEntries()).map(({ value }) => value)).to.deep.equal([config])
    const file = '/run/network.json'
    await run(['tee', file], config)
    expect((await network('set', `@${file}`)).code).to.equal(0)
    expect((await network('set', '@/no/such/file')).code).to.equal(1)
    const shell = ['sh', '-c', `"$@" < ${file}`, 'sh', ...lab.host(1).commandLine('network', 'set', '-', ...etcdFlags(lab))] // prettier-ignore
    expect((await run(shell)).code).to.equal(0)
  })

  it('reads it back with the defaults filled in', async () => {
    const { stdout } = await network('get')
    expect(JSON.parse(stdout)).to.deep.equal({
      EnableIPv4: true,
      EnableIPv6: false,
      Network: '10.5.0.0/16',
      SubnetLen: 24,
      SubnetMin: '10.5.1.0',
      SubnetMax: '10.5.255.0',
      Backend: { Type: 'vxlan', VNI: 1, Port: 8472, GBP: false, Learning: false, DirectRouting: false },
    })
  })
})

describe('agent: network configuration', () => {
  let lab: Lab
  before(async () => {
    lab = await Lab.create({ hosts: 2, config: undefined })
  })
  after(() => lab.destroy())
  const codes = ({ health }: AgentStatus) => health.reasons.map(({ code }) => code)
  const put = (config: object | string) =>
    lab.etcdctl('put', `${prefix}/config`, typeof config === 'string' ? config : JSON.stringify(config))

  it('is awaited by an agent that finds none, and keys are read in any case', async () => {
    const agents = await Promise.all(lab.hosts.map((host) => host.startAgent()))
    for (const host of lab.hosts)
      await statusBecomes(host, 'waits', (status) => codes(status).includes('config-missing'))
    await put({ network: '10.5.0.0/16', SUBNETMAX: '10.5.99.0', backend: { type: 'vxlan', vni: 1 } })
    for (const agent of agents) await agent.waitReady()
    for (const host of lab.hosts) await statusBecomes(host, 'a peer', ({ peers }) => peers.total === 1)
    const [a, b] = await twoContainers(lab)
    expect((await a.ping(b.address)).received).to.equal(1)
  })

  /** Runs `work` under a ping between the containers; nothing may be lost. */
  const undisturbed = async (work: () => Promise<unknown>) => {
    const [a] = lab.host(1).containers
    const [b] = lab.host(2).containers
    if (!a || !b) throw new Error('the containers of an earlier test are missing')
    const stream = await a.pingStream(b.address)
    await work()
    await stream.nextAnswer()
    expect((await stream.stop()).lost).to.equal(0)
  }

  it('stays in force when garbage replaces it', () =>
    undisturbed(async () => {
      await put('{"Network": "10.5')
      for (const host of lab.hosts)
        await statusBecomes(host, 'degraded', (status) => codes(status).includes('config-invalid'))
      await put({ ...defaultConfig, SubnetMax: '10.5.99.0' })
      for (const host of lab.hosts)
        await statusBecomes(host, 'ready', ({ health }) => health.state === 'ready')
    }))

  it('is adopted live where that is safe: another range, another MTU', () =>
    undisturbed(async () => {
      const before = await tableLines(lab.host(1))
      await put({ ...defaultConfig, SubnetMax: '10.5.199.0', Backend: { Type: 'vxlan', MTU: 1400 } })
      for (const host of lab.hosts)
        await eventually(`${host.name} has the new MTU`, async () =>
          (await host.netns.ip('link', 'show', 'tweed.1')).includes('mtu 1350') ? true : undefined,
        )
      for (const host of lab.hosts)
        await eventually('subnet.env follows', async () =>
          (await host.subnetEnv()).mtuBytes === 1350 ? true : undefined,
        )
      expect(await tableLines(lab.host(1))).to.deep.equal(before)
      await statusBecomes(lab.host(1), 'ready', ({ health }) => health.state === 'ready')
    }))

  it('is told apart from that of the last run, though an etcd that was wiped gives it the same revision', () =>
    undisturbed(async () => {
      const host = lab.host(1)
      const config = (mtu: number) => put({ ...defaultConfig, Backend: { Type: 'vxlan', MTU: mtu } })
      const mtuBecomes = (mtu: number) =>
        eventually(`an MTU of ${String(mtu)}`, async () =>
          (await host.subnetEnv()).mtuBytes === mtu - 50 ? true : undefined,
        )
      await lab.etcd.wipe()
      await config(1390)
      await mtuBecomes(1390)
      await host.agent?.waitReady()
      await host.agent?.kill()
      await lab.etcd.wipe()
      await config(1380)
      await host.startAgent()
      await mtuBecomes(1380)
    }))
})
