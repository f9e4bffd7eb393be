import { rm, writeFile } from 'node:fs/promises'
import { expect } from 'chai'
import type { AgentStatus, PeerStatus } from '../../../src/core/status.ts'
import { Lab, prefix } from '../../support/lab.ts'
import { etcdFlags, fileFlags, statusBecomes, tableLines, told } from '../../support/overlay.ts'
import { type Finished, run } from '../../support/process.ts'

const commands = [
  'agent',
  'reserve',
  'network set',
  'network get',
  'status',
  'peers',
  'metrics',
  'plan',
  'cleanup',
  'leave',
]

describe('tweed, the command line', () => {
  let lab: Lab
  before(async () => {
    lab = await Lab.create({ hosts: 1 })
  })
  after(() => lab.destroy())
  const tweed = (...args: readonly string[]) => lab.host(1).tweed(...args)
  const withEnvironment = (variables: readonly string[], ...args: readonly string[]): Promise<Finished> =>
    run(['env', ...variables, ...lab.host(1).commandLine(...args)])

  it('explains itself and every command', async () => {
    const answers = await Promise.all([
      ...commands.map((command) => tweed(...command.split(' '), '--help')),
      tweed('--help'),
      tweed('network', '--help'),
      tweed('--version'),
    ])
    for (const answer of answers) {
      expect(answer.code, told(answer)).to.equal(0)
      expect(answer.stderr).to.equal('')
    }
    answers.slice(0, commands.length).forEach(({ stdout }, i) => {
      expect(stdout).to.contain(`Usage: tweed ${commands[i] ?? ''}`)
    })
    expect(answers.find(({ stdout }) => stdout.includes('tweed agent'))?.stdout)
      .to.match(/--hold <duration>[^-]*\(default: 60s\)/s)
      .and.to.contain('--etcd-cafile')
    expect(answers.at(-1)?.stdout).to.match(/^\d+\.\d+\.\d+\n$/)
  })

  for (const [what, args, words] of [
    ['an unknown flag', ['agent', '--etcd-endpoint', 'x'], /--etcd-endpoint/],
    ['an unknown command', ['agnet'], /agnet/],
    ['no argument where one is needed', ['network', 'set'], /config/],
    ['an argument where none is', ['status', 'now'], /argument/],
    ['a flag without a value', ['agent', '--hold'], /--hold/],
    ['a bad duration', ['agent', '--hold', 'soon'], /--hold is "soon": .*90s/],
    ['a bad choice', ['agent', '--resolve', 'lazy'], /--resolve is "lazy": .*eager or on-miss/],
    ['a bad endpoint', ['agent', '--etcd-endpoints', 'nowhere'], /--etcd-endpoints is "nowhere"/],
    ['a bad prefix', ['agent', '--etcd-prefix', 'coreos'], /--etcd-prefix is "coreos"/],
    ['a bad address', ['agent', '--public-ip', '192.0.2.300'], /--public-ip is "192\.0\.2\.300"/],
    ['a bad pattern', ['agent', '--iface-regex', '('], /--iface-regex is "\("/],
    ['a bad device', ['agent', '--device', 'longer-than-15-characters'], /--device is "longer/],
    ['a bad number', ['agent', '--max-neighbours', '0'], /--max-neighbours is "0"/],
    ['a missing configuration file', ['agent', '--config-file', '/no/such'], /--config-file is "\/no\/such"/],
    [
      'a missing certificate',
      ['network', 'get', '--etcd-endpoints', 'https://127.0.0.1:2379', '--etcd-cafile', '/no/such'],
      /--etcd-cafile is "\/no\/such"/,
    ],
  ] as const)
    it(`refuses ${what} with one line and exit code 2`, async () => {
      const refused = await tweed(...args)
      expect(refused.code, told(refused)).to.equal(2)
      expect(refused.stderr)
        .to.match(words)
        .and.to.match(/^[^\n]+\n$/)
      expect(refused.stdout).to.equal('')
    })

  it('takes a value from the flag, else the environment, else the file, else its default', async () => {
    const file = '/run/tweed-settings.json'
    await writeFile(file, JSON.stringify({ 'run-dir': '/run/of-file' }))
    const [env, config] = ['TWEED_RUN_DIR=/run/of-env', ['--config-file', file]]
    const asked = await Promise.all([
      withEnvironment([env], 'status', '--run-dir', '/run/of-flag', ...config),
      withEnvironment([env], 'status', ...config),
      withEnvironment([], 'status', ...config),
      withEnvironment([`TWEED_CONFIG_FILE=${file}`], 'status'),
      withEnvironment([], 'status'),
    ])
    const places = asked.map(({ stderr }) => /answers on (\S+)\/agent\.sock/.exec(stderr)?.[1])
    const expected = ['/run/of-flag', '/run/of-env', '/run/of-file', '/run/of-file', '/run/tweed']
    expect(places).to.deep.equal(expected)
    for (const { code } of asked) expect(code).to.equal(1)
  })

  it('names the variable, or the key and the file, of a bad value', async () => {
    const bad = await withEnvironment(['TWEED_HOLD=soon'], 'agent')
    expect(bad.code).to.equal(2)
    expect(bad.stderr).to.match(/^tweed: TWEED_HOLD is "soon": [^\n]+\n$/)
    await writeFile('/run/bad.json', '{"hold":"soon"}')
    expect((await tweed('agent', '--config-file', '/run/bad.json')).stderr).to.contain(
      'hold in /run/bad.json',
    )
    await writeFile('/run/bad.json', '{"helt":"1s"}')
    const unknown = await tweed('agent', '--config-file', '/run/bad.json')
    expect(unknown.stderr).to.contain('helt')
    expect(unknown.code).to.equal(2)
  })

  it('keeps the password of etcd out of logs and errors', async () => {
    const host = lab.host(1)
    const secret = 'hunter2-hunter2'
    const login = ['--etcd-username', 'root', '--etcd-password', secret]
    await lab.etcdctl('user', 'add', 'root:another')
    await lab.etcdctl('user', 'grant-role', 'root', 'root')
    await lab.etcdctl('auth', 'enable')
    const agent = await host.startAgent([...login, '--log-level', 'debug'])
    await agent.log(/etcd-denied/)
    const got = await tweed('network', 'get', ...etcdFlags(lab), ...login)
    expect(got.code, told(got)).to.equal(1)
    const status = await tweed('status', '--json', '--run-dir', host.paths.runDir)
    for (const text of [got.stderr, got.stdout, status.stdout, ...agent.logs])
      expect(text).not.to.contain(secret)
    const empty = await withEnvironment([`TWEED_ETCD_PASSWORD=`], 'network', 'get')
    expect(empty.stderr).to.contain('TWEED_ETCD_PASSWORD')
    await agent.kill()
  })
})

describe('tweed, beside an agent', () => {
  let lab: Lab
  before(async () => {
    lab = await Lab.create({ hosts: 2 })
  })
  after(() => lab.destroy())
  const runDir = () => ['--run-dir', lab.host(1).paths.runDir]
  const plan = () =>
    lab.host(1).tweed('plan', ...etcdFlags(lab), ...fileFlags(lab.host(1)), '--iface', 'eth0')

  it('says that nobody answers, before', async () => {
    for (const command of ['status', 'peers', 'metrics']) {
      const { code, stderr } = await lab.host(1).tweed(command, ...runDir())
      expect(code).to.equal(1)
      expect(stderr).to.match(/^tweed: no agent answers on [^\n]+\n$/)
    }
  })

  it('plans nothing but a claim on a host without a subnet', async () => {
    const { code, stdout } = await plan()
    expect(code).to.equal(0)
    expect(stdout).to.match(/^# [^\n]+\n$/)
    expect((await lab.etcdEntries()).map(({ key }) => key)).to.deep.equal([`${prefix}/config`])
  })

  it('exits with 3 while the agent is down, and with 0 when it is ready', async () => {
    await lab.etcdctl('del', `${prefix}/config`)
    await lab.host(1).startAgent()
    await statusBecomes(lab.host(1), 'no network', ({ health }) =>
      health.reasons.some(({ code }) => code === 'config-missing'),
    )
    const down = await lab.host(1).tweed('status', ...runDir())
    expect(down.code, told(down)).to.equal(3)
    expect(down.stdout).to.contain('config-missing')
    await lab.putConfig({ Network: '10.5.0.0/16', Backend: { Type: 'vxlan' } })
    await lab.host(2).startAgent()
    for (const host of lab.hosts) await host.agent?.waitReady()
    await statusBecomes(lab.host(1), 'a peer', ({ peers }) => peers.programmed === 1)
    expect((await lab.host(1).tweed('status', ...runDir())).code).to.equal(0)
  })

  it('prints its metrics', async () => {
    const { code, stdout } = await lab.host(1).tweed('metrics', ...runDir())
    expect(code).to.equal(0)
    expect(stdout).to.match(/^tweed_health{state="ready"} 1$/m)
  })

  it('prints status and peers for people and for programs', async () => {
    const [words, json, peerWords, peerJson] = await Promise.all([
      lab.host(1).tweed('status', ...runDir()),
      lab.host(1).tweed('status', '--json', ...runDir()),
      lab.host(1).tweed('peers', ...runDir()),
      lab.host(1).tweed('peers', '--json', ...runDir()),
    ])
    expect(words.stdout)
      .to.match(/^health +ready$/m)
      .and.to.match(/^lease +10\.5\.\d+\.0\/24 \(owned/m)
    const status = JSON.parse(json.stdout) as AgentStatus
    expect(status).to.have.property('health').that.deep.equals({ state: 'ready', reasons: [] })
    expect(status.peers).to.include({ total: 1, programmed: 1, rejected: 0 })
    expect(status.tables.fdb).to.deep.equal({ desired: 1, actual: 1, pending: 0, failed: 0 })
    const [peer, ...others] = JSON.parse(peerJson.stdout) as readonly PeerStatus[]
    expect(others).to.deep.equal([])
    expect(peer).to.include({ publicIp: '192.0.2.12', path: 'tunnel', state: 'programmed', detail: '' })
    expect(peerWords.stdout.split('\n')[0]).to.match(
      /^SUBNET +PUBLIC IP +PATH +VTEP MAC +SINCE +STATE +DETAIL$/,
    )
    expect(peerWords.stdout).to.contain(peer?.subnet)
  })

  it('refuses a second agent with the same run directory', async () => {
    const host = lab.host(1)
    const second = await host.tweed('agent', ...etcdFlags(lab), ...fileFlags(host), '--iface', 'eth0')
    expect(second.code, told(second)).to.equal(1)
    expect(second.stderr).to.match(/another agent answers on .*agent\.sock/)
    expect((await host.status()).health.state).to.equal('ready')
  })

  it('plans nothing on a settled host', async () => {
    const planned = await plan()
    expect(planned.stdout, told(planned)).to.equal('# nothing to change\n')
  })

  it('plans what is missing, and its lines do it', async () => {
    const host = lab.host(1)
    await host.agent?.kill('SIGTERM')
    const settled = await tableLines(host)
    const { subnet = '' } = (await lab.host(2).status()).lease ?? {}
    const mac = (await lab.host(2).status()).device?.mac ?? ''
    const hop = subnet.replace('/24', '')
    await host.netns.ip('route', 'del', subnet)
    await host.netns.ip('neigh', 'del', hop, 'dev', 'tweed.1')
    await host.netns.bridge('fdb', 'replace', mac, 'dev', 'tweed.1', 'dst', '192.0.2.99', 'self', 'permanent')
    await host.netns.bridge('fdb', 'add', '02:00:00:00:00:77', 'dev', 'tweed.1', 'dst', '192.0.2.77', 'self', 'permanent') // prettier-ignore
    const planned = await plan()
    expect(planned.stdout.trim().split('\n')).to.deep.equal([
      `bridge fdb replace ${mac} dev tweed.1 dst 192.0.2.12 self permanent`,
      `ip neigh replace ${hop} lladdr ${mac} nud permanent dev tweed.1`,
      `ip route add ${subnet} via ${hop} dev tweed.1 onlink proto 84`,
      'bridge fdb del 02:00:00:00:00:77 dev tweed.1 dst 192.0.2.77 self permanent',
    ])
    for (const line of planned.stdout.trim().split('\n')) await host.exec(...line.split(' '))
    expect((await plan()).stdout).to.equal('# nothing to change\n')
    expect(await tableLines(host)).to.deep.equal(settled)
  })

  it('plans the device and all rows when it is gone, and its lines do it', async () => {
    const host = lab.host(1)
    const settled = await tableLines(host)
    await host.netns.ip('link', 'del', 'tweed.1')
    const planned = await plan()
    const lines = planned.stdout.trim().split('\n')
    expect(lines[0]).to.match(/^ip link add tweed\.1 /)
    for (const line of lines) await host.exec(...line.split(' '))
    expect((await plan()).stdout).to.equal('# nothing to change\n')
    expect(await tableLines(host)).to.deep.equal(settled)
  })

  it('leaves without an agent too', async () => {
    const host = lab.host(1)
    const left = await host.tweed('leave', ...etcdFlags(lab), ...fileFlags(host))
    expect(left.code, told(left)).to.equal(0)
    expect(left.stdout).to.match(/^gave back subnet 10\.5\.\d+\.0-24$/m)
    expect((await lab.etcdEntries(`${prefix}/subnets`)).length).to.equal(1)
    await statusBecomes(lab.host(2), 'no peer', ({ peers }) => peers.total === 0)
    const again = await host.tweed('leave', ...etcdFlags(lab), ...fileFlags(host))
    expect(again.stdout, told(again)).to.match(/^held no subnet in etcd$/m)
  })

  it('leaves with what the agent knows, if its state directory is gone', async () => {
    const host = lab.host(2)
    await rm(host.paths.stateDir, { recursive: true })
    const left = await host.tweed('leave', ...etcdFlags(lab), ...fileFlags(host))
    expect(left.code, told(left)).to.equal(0)
    expect(await lab.etcdEntries(`${prefix}/subnets`)).to.deep.equal([])
  })
})
