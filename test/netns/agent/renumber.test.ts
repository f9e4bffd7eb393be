import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect } from 'chai'
import type { AgentStatus, Renumbering } from '../../../src/core/status.ts'
import { Cidr } from '../../../src/core/net/cidr.ts'
import { Ipv4 } from '../../../src/core/net/ipv4.ts'
import { Ipv6 } from '../../../src/core/net/ipv6.ts'
import type { SavedState } from '../../../src/ports/host.ts'
import type { Host } from '../../support/host.ts'
import { Lab } from '../../support/lab.ts'
import { statusBecomes, told, twoContainers } from '../../support/overlay.ts'
import { eventually } from '../../support/process.ts'
import { lostDuring } from '../../support/traffic.ts'

const vxlan = { Type: 'vxlan' }
const base = {
  Network: '10.5.0.0/16',
  EnableIPv6: true,
  IPv6Network: 'fc00::/48',
  Backend: vxlan,
}

interface Live {
  readonly field: string
  readonly to: object
  /** Part of a line of `ip -d link show` or of the subnet file, once it is adopted. */
  readonly shows?: RegExp
}

/** The rows of the table in docs/configuration.md that say "live", and the conditional ones where the condition holds. */
const live: readonly Live[] = [
  { field: 'Network', to: { ...base, Network: '10.4.0.0/15' }, shows: /FLANNEL_NETWORK=10\.4\.0\.0\/15/ },
  { field: 'SubnetMin', to: { ...base, SubnetMin: '10.5.200.0' } },
  { field: 'SubnetMax', to: { ...base, SubnetMax: '10.5.2.0' } },
  {
    field: 'IPv6Network',
    to: { ...base, IPv6Network: 'fc00::/47' },
    shows: /FLANNEL_IPV6_NETWORK=fc00::\/47/,
  },
  { field: 'IPv6SubnetMin', to: { ...base, IPv6SubnetMin: 'fc00:0:0:f000::' } },
  { field: 'IPv6SubnetMax', to: { ...base, IPv6SubnetMax: 'fc00:0:0:2::' } },
  { field: 'Backend.MTU', to: { ...base, Backend: { ...vxlan, MTU: 1400 } }, shows: /mtu 1350/ },
  {
    field: 'Backend.Learning',
    to: { ...base, Backend: { ...vxlan, Learning: true } },
    shows: /^(?![^]*nolearning)/,
  },
  { field: 'Backend.DirectRouting', to: { ...base, Backend: { ...vxlan, DirectRouting: true } } },
]

interface Announced {
  readonly field: string
  readonly to: object
  /** The IPv4 subnet, or the one that is left, stays what it was. */
  readonly keeps?: boolean
  readonly device: string | undefined
}

/** The rows that say "renumbering". */
const announced: readonly Announced[] = [
  { field: 'Network', to: { ...base, Network: '10.6.0.0/16' }, device: 'tweed.1' },
  { field: 'SubnetLen', to: { ...base, SubnetLen: 26 }, device: 'tweed.1' },
  { field: 'EnableIPv6', to: { ...base, EnableIPv6: false }, keeps: true, device: 'tweed.1' },
  { field: 'EnableIPv4', to: { ...base, EnableIPv4: false }, device: undefined },
  { field: 'IPv6Network', to: { ...base, IPv6Network: 'fd00::/48' }, keeps: true, device: 'tweed.1' },
  { field: 'IPv6SubnetLen', to: { ...base, IPv6SubnetLen: 80 }, keeps: true, device: 'tweed.1' },
  { field: 'Backend.VNI', to: { ...base, Backend: { ...vxlan, VNI: 7 } }, keeps: true, device: 'tweed.7' },
  {
    field: 'Backend.Port',
    to: { ...base, Backend: { ...vxlan, Port: 4789 } },
    keeps: true,
    device: 'tweed.1',
  },
  { field: 'Backend.GBP', to: { ...base, Backend: { ...vxlan, GBP: true } }, keeps: true, device: 'tweed.1' },
  { field: 'Backend.Type', to: { ...base, Backend: { Type: 'host-gw' } }, keeps: true, device: undefined },
]

const documented = () =>
  readFile(new URL('../../../docs/configuration.md', import.meta.url), 'utf8').then((text) =>
    text.slice(text.indexOf('## The network')),
  )
const codes = ({ health }: AgentStatus) => health.reasons.map(({ code }) => code)
const isWell = (peers: number) => (status: AgentStatus) =>
  status.health.state === 'ready' && status.peers.programmed === peers && status.peers.total === peers
const envOf = (host: Host) => readFile(host.paths.subnetFile, 'utf8')
/** `10.5.7.0/24` → `10.5.7.1/24`, as the subnet file has it. */
const firstAddress = (subnet: string): string => {
  const cidr = Cidr.parse(subnet)
  if (!cidr) throw new Error(`${subnet} is no prefix`)
  return cidr.family === 4
    ? `${Ipv4.print(Ipv4.of(cidr.address + 1))}/${cidr.length}`
    : `${Ipv6.print(Ipv6.of(cidr.address + 1n))}/${cidr.length}`
}
const stateOf = async (host: Host) =>
  JSON.parse(await readFile(join(host.paths.stateDir, 'state.json'), 'utf8')) as SavedState
const devicesOf = async (host: Host) =>
  [...(await host.netns.ip('-br', 'link')).matchAll(/^(tweed\S+)/gm)].map(([, name]) => name)
const keysOf = async (lab: Lab) =>
  (await lab.etcdEntries()).map(({ key }) => key).filter((key) => key.includes('subnets/'))

const renumber = async (host: Host): Promise<Renumbering> => {
  const done = await host.tweed('renumber', '--run-dir', host.paths.runDir, '--json')
  expect(done.code, told(done)).to.equal(0)
  return JSON.parse(done.stdout) as Renumbering
}

const ipv4Base = { Network: '10.5.0.0/16', Backend: vxlan }

describe('agent: a change of the network that is adopted live', () => {
  let lab: Lab
  before(async () => {
    lab = await Lab.create({ hosts: 2, config: base, ipv6: true })
    await lab.startAgents()
    await twoContainers(lab)
  })
  after(() => lab.destroy())

  it('is tested for every row of the table in docs/configuration.md, as is every renumbering', async () => {
    const rows = [...(await documented()).matchAll(/^\| (`.*?) \|.*\| (.*?) \|$/gm)]
    const fields = (does: RegExp) =>
      rows.flatMap(([, names = '', change = '']) =>
        does.test(change) ? [...names.matchAll(/`([^`]+)`/g)].map(([, name = '']) => name) : [],
      )
    const ranges = ['IPv6Network', 'IPv6SubnetLen', 'IPv6SubnetMin', 'IPv6SubnetMax']
    expect(fields(/^as for IPv4$/)).to.deep.equal(ranges)
    const tested = (changes: readonly { readonly field: string }[]) =>
      changes.map(({ field }) => field).filter((field) => !ranges.includes(field))
    expect(tested(live)).to.have.members(fields(/^live/))
    expect(tested(announced)).to.have.members(fields(/renumbering/))
  })

  for (const { field, to, shows } of live)
    it(`${field}: there and back, 0 packets lost in either family`, async () => {
      const [a, b] = [lab.host(1).containers[0], lab.host(2).containers[0]]
      if (!a || !b) throw new Error('no containers')
      const before = (await lab.host(1).status()).lease?.subnet
      const change = async (config: object) => {
        await lab.putConfig(config)
        for (const host of lab.hosts) {
          await eventually(`${host.name} has adopted it`, async () =>
            (await stateOf(host)).config.value === JSON.stringify(config) ? true : undefined,
          )
          if (shows)
            await eventually(`${host.name} shows ${field}`, async () => {
              const text = `${await host.netns.ip('-d', 'link', 'show', 'tweed.1')}\n${await envOf(host)}`
              return shows.test(text) === (config === to) ? true : undefined
            })
          await statusBecomes(host, 'ready', isWell(1))
        }
      }
      expect(await lostDuring(a, b, () => change(to))).to.equal(0)
      expect(await lostDuring(a, b, () => change(base))).to.equal(0)
      expect((await lab.host(1).status()).lease?.subnet).to.equal(before)
    })
})

describe('tweed renumber', () => {
  for (const { field, to, keeps, device } of announced)
    it(`${field}: announced, nothing lost until the order, everything follows then`, async () => {
      const lab = await Lab.create({ hosts: 3, config: base, ipv6: true })
      try {
        await lab.startAgents()
        const [a, b] = [await lab.host(2).addContainer('a'), await lab.host(3).addContainer('b')]
        const before = await Promise.all(lab.hosts.map((host) => host.status()))
        const stream = await a.pingStream(b.address)
        await lab.putConfig(to)
        for (const host of lab.hosts) {
          const status = await statusBecomes(host, 'announces', (now) =>
            codes(now).includes('config-announced'),
          )
          expect(status.announced?.fields).to.deep.equal([field])
          expect(status.health.state).to.equal('degraded')
        }
        // The first one goes. What the others have of each other stays.
        const [first] = lab.hosts
        if (!first) throw new Error('no host')
        const done = await renumber(first)
        expect(done.fields).to.deep.equal([field])
        expect(done.from).to.equal(before[0]?.lease?.subnet)
        await stream.nextAnswer()
        expect((await stream.stop()).lost).to.equal(0)
        for (const host of lab.hosts.slice(1)) await renumber(host)
        for (const [i, host] of lab.hosts.entries()) {
          const status = await statusBecomes(host, 'knows the others', isWell(2))
          const was = before[i]?.lease?.subnet ?? ''
          if (keeps) expect(was.split(',')).to.include(status.lease?.subnet.split(',')[0])
          expect(status.device?.name).to.equal(device)
          const devices = [device, status.device6?.name].filter((name) => name !== undefined)
          const wanted = devices.sort().join()
          await eventually(`no device but ${wanted}`, async () =>
            (await devicesOf(host)).sort().join() === wanted ? true : undefined,
          )
          for (const subnet of status.lease?.subnet.split(',') ?? [])
            expect(await envOf(host)).to.contain(`SUBNET=${firstAddress(subnet)}`)
        }
        if (keeps) expect((await a.ping(b.address)).received).to.equal(1)
        else {
          const c = await first.addContainer('c') // those that were there have addresses of subnets that are gone
          const to = (await lab.host(2).status()).lease?.subnet.split(',').at(-1)?.replace(/\/.*/, '') ?? ''
          expect((await c.ping(to)).received).to.equal(1)
        }
        expect(await keysOf(lab)).to.have.lengthOf(3)
        const held = await Promise.all(lab.hosts.map(async (host) => (await host.status()).lease?.key))
        for (const key of await keysOf(lab)) expect(held).to.include(key.replace(/.*subnets\//, ''))
      } finally {
        await lab.destroy()
      }
    })
})

describe('tweed renumber and restarts', () => {
  let lab: Lab
  before(async () => {
    lab = await Lab.create({ hosts: 2, config: ipv4Base })
    await lab.startAgents()
  })
  after(() => lab.destroy())

  it('says so where nothing is announced, and that no agent answers where none runs', async () => {
    const host = lab.host(1)
    const done = await host.tweed('renumber', '--run-dir', host.paths.runDir)
    expect(told(done)).to.equal('exit 0\nnothing to renumber\n')
    const alone = await host.tweed('renumber', '--run-dir', '/run/nobody')
    expect(alone.code).to.equal(1)
    expect(alone.stderr).to.match(/^tweed: no agent answers on \/run\/nobody[^\n]+\n$/)
  })

  it('a restart is no order: 0 lost, the old network goes on and is announced again', async () => {
    const [a, b] = await twoContainers(lab)
    const host = lab.host(1)
    const before = (await host.status()).lease?.subnet
    await lab.putConfig({ ...ipv4Base, Network: '10.6.0.0/16' })
    await statusBecomes(host, 'announces', (now) => codes(now).includes('config-announced'))
    const stream = await a.pingStream(b.address)
    await host.agent?.kill('SIGTERM')
    await host.startAgent()
    const status = await statusBecomes(
      host,
      'announces and forwards',
      (now) => codes(now).join() === 'config-announced' && now.peers.programmed === 1,
    )
    expect(status.lease?.subnet).to.equal(before)
    await stream.nextAnswer()
    expect((await stream.stop()).lost).to.equal(0)
  })

  it('--on-config-change renumber is an order given beforehand', async () => {
    for (const host of lab.hosts) {
      await host.agent?.kill('SIGTERM')
      await (await host.startAgent(['--on-config-change', 'renumber'])).waitReady()
    }
    for (const network of ['10.6.', '10.7.']) {
      await lab.putConfig({ ...ipv4Base, Network: `${network}0.0/16` })
      for (const host of lab.hosts) {
        const status = await statusBecomes(
          host,
          `is in ${network}`,
          (now) => isWell(1)(now) && (now.lease?.subnet.startsWith(network) ?? false),
        )
        await eventually('the subnet file follows', async () =>
          (await envOf(host)).includes(firstAddress(status.lease?.subnet ?? '')) ? true : undefined,
        )
      }
      expect(await keysOf(lab)).to.have.lengthOf(2)
    }
  })
})
