import { chmod, chown, mkdir, readFile } from 'node:fs/promises'
import { dirname } from 'node:path'
import { expect } from 'chai'
import { Lab } from '../../support/lab.ts'
import type { Host } from '../../support/host.ts'
import { etcdFlags, fileFlags, told } from '../../support/overlay.ts'
import { eventually, run } from '../../support/process.ts'

const nobody = 65534

/**
 * Nobody with CAP_NET_ADMIN and no other capability, and no way to get one. In a user namespace that knows no
 * second user (an enclosure made without root) the user stays, and everything but this capability goes.
 */
const withOnly = async (capability: 'net_admin' | 'none'): Promise<readonly string[]> => {
  const ids = await readFile('/proc/self/uid_map', 'utf8')
  const hasNobody = ids.split('\n').some((line) => {
    const [first = NaN, , count = NaN] = line.trim().split(/\s+/).map(Number)
    return first <= nobody && nobody < first + count
  })
  const user = hasNobody ? [`--reuid=${nobody}`, `--regid=${nobody}`, '--clear-groups'] : []
  const sets = capability === 'none' ? '-all' : '-all,+net_admin'
  return ['setpriv', ...user, `--inh-caps=${sets}`, `--ambient-caps=${sets}`, `--bounding-set=${sets}`, '--no-new-privs'] // prettier-ignore
}

const program = process.env['TWEED_PROGRAM']?.split(' ') ?? [
  process.execPath,
  new URL('../../../dist/main.js', import.meta.url).pathname,
]

/** Directories that systemd would make: StateDirectory, RuntimeDirectory. */
const ownedByNobody = async ({ paths }: Host) => {
  const folder = dirname(paths.stateDir)
  await chmod(dirname(folder), 0o755)
  for (const path of [paths.stateDir, paths.runDir]) await mkdir(path, { recursive: true })
  for (const path of [folder, paths.stateDir, paths.runDir]) await chown(path, nobody, nobody)
}

const forwarding = (host: Host) => host.exec('cat', '/proc/sys/net/ipv4/ip_forward').then(Number)

for (const resolve of ['eager', 'on-miss'] as const)
  describe(`agent with nothing but CAP_NET_ADMIN (${resolve})`, () => {
    let lab: Lab
    const atFirst = new Map<string, Readonly<Record<string, string>>>()

    before(async () => {
      lab = await Lab.create({
        hosts: 2,
        agentFlags: ['--resolve', resolve, '--ip-masq', 'true'],
        program: [...(await withOnly('net_admin')), ...program],
      })
      for (const host of lab.hosts) {
        await ownedByNobody(host)
        await host.netns.sysctl('net.ipv4.ip_forward', '0')
        atFirst.set(host.name, await host.snapshot())
      }
      await lab.startAgents()
    })
    after(() => lab.destroy())

    it('runs without any other privilege', async () => {
      const status = await readFile(`/proc/${lab.host(1).agent?.pid ?? ''}/status`, 'utf8')
      expect(/^CapEff:\s+(\w+)$/m.exec(status)?.[1]).to.equal((1n << 12n).toString(16).padStart(16, '0'))
      expect(/^CapBnd:\s+(\w+)$/m.exec(status)?.[1]).to.equal((1n << 12n).toString(16).padStart(16, '0'))
      expect(status).to.match(/^NoNewPrivs:\s+1$/m)
    })

    it('switches IPv4 forwarding on and is ready', async () => {
      for (const host of lab.hosts) {
        expect((await host.status()).health).to.deep.equal({ state: 'ready', reasons: [] })
        expect(await forwarding(host)).to.equal(1)
      }
    })

    it('masquerades, and repairs that', async () => {
      for (const { netns } of lab.hosts) {
        // Once a listing that was taken meanwhile showed the table without its chains.
        const isMasked = async () => {
          const table = await netns.exec('nft', 'list', 'table', 'inet', 'tweed').catch(() => '')
          return table.includes('masquerade fully-random') || undefined
        }
        await eventually('the table', isMasked)
        await netns.exec('nft', 'flush', 'ruleset')
        await eventually('the table again', isMasked)
      }
    })

    it('forwards between containers and repairs its device', async () => {
      const a = await lab.host(1).addContainer('a')
      const b = await lab.host(2).addContainer('b')
      expect(await a.ping(b.address, { count: 3 })).to.include({ received: 3 })
      await lab.host(1).netns.ip('link', 'del', 'tweed.1')
      await eventually('the device is back', async () =>
        (await a.ping(b.address, { waitMs: 100 })).received === 1 ? true : undefined,
      )
    })

    it('restarts under a running ping without a loss', async () => {
      const [host] = lab.hosts
      const [a] = host?.containers ?? []
      const [b] = lab.host(2).containers
      if (!host || !a || !b) throw new Error('the containers of an earlier test are missing')
      const stream = await a.pingStream(b.address)
      await host.agent?.kill()
      await (await host.startAgent()).waitReady()
      await stream.nextAnswer()
      expect((await stream.stop()).lost).to.equal(0)
    })

    it('answers status, peers and plan', async () => {
      const host = lab.host(1)
      const flags = ['--run-dir', host.paths.runDir, '--json']
      for (const command of ['status', 'peers']) {
        const asked = await host.tweed(command, ...flags)
        expect(asked.code, told(asked)).to.equal(0)
        expect(() => void JSON.parse(asked.stdout)).not.to.throw()
      }
      const plan = await host.tweed('plan', ...etcdFlags(lab), ...fileFlags(host), '--resolve', resolve, '--iface', 'eth0', '--ip-masq', 'true') // prettier-ignore
      expect(plan.stdout, told(plan)).to.equal('# nothing to change\n')
    })

    it('cleans up as the same user', async () => {
      const host = lab.host(2)
      await host.containers[0]?.netns.remove()
      host.containers.length = 0
      await host.netns.ip('link', 'del', 'cbr0')
      await host.agent?.kill('SIGTERM')
      const cleaned = await host.tweed('cleanup', ...fileFlags(host))
      expect(cleaned.code, told(cleaned)).to.equal(0)
      expect(await host.snapshot()).to.deep.equal(atFirst.get(host.name))
    })
  })

describe('agent without CAP_NET_ADMIN', () => {
  let lab: Lab
  before(async () => {
    lab = await Lab.create({ hosts: 1, program: [...(await withOnly('none')), ...program] })
    await ownedByNobody(lab.host(1))
  })
  after(() => lab.destroy())

  it('says which capability is missing', async () => {
    const host = lab.host(1)
    const agent = await host.startAgent()
    const line = await agent.log(/kernel-denied/)
    expect(line).to.contain('CAP_NET_ADMIN')
  })

  it('says so to cleanup and plan too, without a stack', async () => {
    const host = lab.host(1)
    await host.agent?.kill()
    await run(
      host.netns.wrap(['ip', 'link', 'add', 'tweed.1', 'type', 'vxlan', 'id', '1', 'dstport', '8472']),
    )
    await host.netns.batch(['link set tweed.1 alias tweed'])
    const cleaned = await host.tweed('cleanup', ...fileFlags(host))
    expect(cleaned.code, told(cleaned)).to.equal(1)
    expect(cleaned.stderr).to.match(/^tweed: kernel-denied: .*CAP_NET_ADMIN.*\n$/)
  })
})
