import { writeFile } from 'node:fs/promises'
import { expect } from 'chai'
import type { AgentStatus } from '../../../src/core/status.ts'
import { Certificates } from '../../support/certificates.ts'
import { documentedCommands } from '../../support/documented.ts'
import type { EtcdTls } from '../../support/etcd.ts'
import type { Host } from '../../support/host.ts'
import { Lab, prefix } from '../../support/lab.ts'
import { etcdFlags, fileFlags, halfConfig, statusBecomes, subnetKey, told } from '../../support/overlay.ts'
import { eventually, output, run } from '../../support/process.ts'

const patienceMs = 60_000
const rootLogin = 'root:root-secret'

const reasons = ({ health }: AgentStatus): string =>
  health.reasons.map(({ code, message }) => `${code}: ${message}`).join('\n')

/** Users are the CN of certificates; roles are made by the very commands of docs/security.md. */
describe('agent: roles in etcd', () => {
  let authority: Certificates
  let lab: Lab
  let server: EtcdTls
  const certificates = new Map<string, EtcdTls>()

  const tlsOf = (name: string): EtcdTls => {
    const tls = certificates.get(name)
    if (!tls) throw new Error(`no certificate for ${name}`)
    return tls
  }
  const flagsOf = ({ name }: Host): readonly string[] => {
    const { ca, cert, key } = tlsOf(name)
    return ['--etcd-cafile', ca, '--etcd-certfile', cert, '--etcd-keyfile', key]
  }
  const start = async (host: Host, ...flags: readonly string[]) =>
    host.startAgent([...flagsOf(host), ...flags])

  /** Runs a block of the page as it stands, or with other names. */
  const administer = async (script: string): Promise<void> => {
    const { ca, cert, key } = server
    const login = lab.etcd.ctlFlags.length > 0 ? [`ETCDCTL_USER=${rootLogin}`] : []
    const where = [`ETCDCTL_ENDPOINTS=${lab.endpoint}`, `ETCDCTL_CACERT=${ca}`, `ETCDCTL_CERT=${cert}`]
    const environment = [
      'ETCDCTL_API=3',
      ...where,
      `ETCDCTL_KEY=${key}`,
      'ROOT_PASSWORD=root-secret',
      ...login,
    ]
    await output(lab.underlay.wrap(['env', ...environment, 'sh', '-ec', script]))
  }
  const page = (mark: string) => documentedCommands('security.md', mark)
  const renamed = (script: string, host: string, number: number): string =>
    script.replaceAll('h1', host).replaceAll('10.5.52.0', `10.5.${number}.0`)
  const withoutReservation = (script: string): string =>
    script
      .split('\n')
      .filter((line) => !line.startsWith('etcdctl put'))
      .join('\n')

  /** etcdctl as a host would misuse its certificate. */
  const asHost = (name: string, ...args: readonly string[]) => {
    const { ca, cert, key } = tlsOf(name)
    const files = [`--cacert=${ca}`, `--cert=${cert}`, `--key=${key}`]
    return run(
      lab.underlay.wrap([
        'env',
        'ETCDCTL_API=3',
        'etcdctl',
        `--endpoints=${lab.endpoint}`,
        ...files,
        ...args,
      ]),
    )
  }

  before(async () => {
    authority = await Certificates.create()
    server = await authority.issue('server', '192.0.2.1')
    for (const name of ['h1', 'h2', 'h3', 'h4', 'operator'])
      certificates.set(name, await authority.issue(name))
    const flags = ['--client-cert-auth', `--trusted-ca-file=${server.ca}`]
    lab = await Lab.create({ hosts: 4, config: halfConfig, etcd: { tls: server, flags } })
    await administer(await page('one-key-reader'))
    await administer(await page('one-key-host'))
    await administer(withoutReservation(renamed(await page('one-key-host'), 'h2', 53)))
    await administer(await page('any-subnet'))
    await administer(await page('operator'))
    await administer('etcdctl user add h4 --no-password')
    await administer(await page('setup'))
    lab.etcd.ctlFlags = [`--user=${rootLogin}`]
  })
  after(async () => {
    await lab.destroy()
    await authority.remove()
  })

  it('give each its subnet: reserved, named in subnet.env, or any', async () => {
    await writeFile(lab.host(2).paths.subnetFile, 'FLANNEL_SUBNET=10.5.53.1/24\n')
    const short = ['--lease-ttl', '60s', '--audit', '1s']
    const agents = [
      await start(lab.host(1)),
      await start(lab.host(2), ...short),
      await start(lab.host(3), ...short),
    ]
    const leases = await Promise.all(agents.map(async (agent) => (await agent.waitReady()).lease))
    expect(leases[0]).to.include({ subnet: '10.5.52.0/24', leaseId: '0' })
    expect(leases[1]).to.include({ subnet: '10.5.53.0/24', state: 'owned' })
    expect(leases[1]?.leaseId).not.to.equal('0')
    expect(leases[2]).to.include({ state: 'owned' })
  })

  it('let their containers reach each other', async () => {
    for (const number of [1, 2, 3])
      await statusBecomes(lab.host(number), '2 peers', ({ peers }) => peers.programmed === 2)
    const [a, b, c] = [
      await lab.host(1).addContainer('a'),
      await lab.host(2).addContainer('b'),
      await lab.host(3).addContainer('c'),
    ]
    for (const [from, to] of [
      [a, b],
      [b, c],
      [c, a],
    ] as const)
      expect((await from.ping(to.address)).received).to.equal(1)
  })

  it('let a host with one key keep its lease alive', async () => {
    const { ca, cert, key } = server
    const files = ['--cacert', ca, '--cert', cert, '--key', key]
    const asked = async () =>
      Number(
        /^grpc_server_msg_sent_total{grpc_method="LeaseKeepAlive".*} (\d+)$/m.exec(
          await lab.underlay.exec('curl', '-sf', ...files, `${lab.endpoint}/metrics`),
        )?.[1] ?? 0,
      )
    // h2 and h3 have a lease of 60 s, so that each asks within 20 s; the first that asks must get its answer.
    await eventually('a keep-alive', async () => ((await asked()) > 0 ? true : undefined), 30_000)
    for (const number of [2, 3]) expect((await lab.host(number).status()).health.state).to.equal('ready')
  })

  it('let it restart without a write', async () => {
    const revision = await lab.etcdRevision()
    for (const number of [1, 2]) {
      const host = lab.host(number)
      await host.agent?.kill()
      await (await start(host, '--lease-ttl', '60s', '--audit', '1s')).waitReady()
    }
    expect(await lab.etcdRevision()).to.equal(revision)
  })

  it('refuse it everything else', async () => {
    const foreign = subnetKey('10.5.53.0/24')
    for (const args of [
      ['put', foreign, '{}'],
      ['del', foreign],
      ['del', '--prefix', prefix],
      ['put', subnetKey('10.5.60.0/24'), '{}'],
      ['put', `${prefix}/config`, '{}'],
      ['get', '--prefix', '/'],
      ['watch', '--prefix', '/'],
      ['user', 'add', 'h9:x'],
      ['auth', 'disable'],
    ]) {
      const { code, stdout, stderr } = await asHost('h1', ...args)
      expect(`${stdout}${stderr}`, args.join(' ')).to.match(/permission denied/)
      if (args[0] !== 'watch') expect(code, args.join(' ')).not.to.equal(0)
    }
    const { lease } = await lab.host(2).status()
    const revoked = await asHost('h1', 'lease', 'revoke', BigInt(lease?.leaseId ?? 0).toString(16))
    expect(revoked.stderr).to.match(/permission denied/)
  })

  it('let the operator reserve, and a host with one key only its own', async () => {
    const as = (name: string, subnet: string) => {
      const { ca, cert, key } = tlsOf(name)
      const files = ['--etcd-cafile', ca, '--etcd-certfile', cert, '--etcd-keyfile', key]
      return lab.host(4).tweed('reserve', subnet, '--for', '192.0.2.11', ...etcdFlags(lab), ...files)
    }
    const own = await as('h1', '10.5.52.0/24')
    expect(own.stdout, told(own)).to.match(
      /^10\.5\.52\.0\/24 was reserved already, for \S+ \(192\.0\.2\.11\)\n$/,
    )
    const refused = await as('h1', '10.5.61.0/24')
    expect(refused.code, told(refused)).to.equal(1)
    expect(refused.stderr).to.match(/^tweed: etcd-denied: .*readwrite on .*10\.5\.61\.0-24$/m)
    const reserved = await as('operator', '10.5.61.0/24')
    expect(reserved.stdout, told(reserved)).to.equal('10.5.61.0/24 is reserved for 192.0.2.11\n')
    expect(reserved.stderr).to.match(/^note: 10\.5\.52\.0\/24 is held by/m)
    await lab.etcdctl('del', subnetKey('10.5.61.0/24'))
  })

  it('name what a host lacks, until it lacks nothing', async () => {
    const host = lab.host(4)
    await start(host)
    const denied = (...patterns: readonly RegExp[]) =>
      statusBecomes(
        host,
        patterns.join(),
        (status) => patterns.every((pattern) => pattern.test(reasons(status))),
        patienceMs,
      )
    const unread = await denied(
      /etcd-denied: .*needs read on \/coreos.com\/network\/subnets\/ and all keys below/,
      /etcd-denied: .*needs read on \/coreos.com\/network\/config$/m,
    )
    expect(unread.health.state).to.equal('down')
    await administer('etcdctl user grant-role h4 tweed-reader')
    await denied(/etcd-denied: .*may not take a free subnet.*reservation for 192\.0\.2\.14/)
    const key = subnetKey('10.5.54.0/24')
    await lab.etcdctl('put', key, '{"PublicIP":"192.0.2.14"}')
    await denied(/etcd-denied: .*needs readwrite on \/coreos.com\/network\/subnets\/10\.5\.54\.0-24/)
    const rest = withoutReservation(renamed(await page('one-key-host'), 'h4', 54))
    await administer(
      rest
        .split('\n')
        .filter((line) => !/user add|tweed-reader/.test(line))
        .join('\n'),
    )
    const { lease } = (await host.agent?.waitReady(patienceMs)) ?? {}
    expect(lease).to.include({ subnet: '10.5.54.0/24', leaseId: '0' })
  })

  it('may be taken away: that is told, nothing is lost, and it ends when they are given back', async () => {
    const [host, a] = [lab.host(3), lab.host(1).containers[0]]
    const c = host.containers[0]
    if (!a || !c) throw new Error('no containers')
    const before = await host.status()
    const stream = await c.pingStream(a.address)
    await administer('etcdctl user revoke-role h3 tweed-agent')
    const denied = await statusBecomes(
      host,
      'denied',
      ({ health }) => health.state === 'degraded',
      patienceMs,
    )
    expect(reasons(denied)).to.match(/^etcd-denied: .*needs read on \/coreos.com\/network\/subnets\//)
    expect(denied.lease).to.include({ subnet: before.lease?.subnet, state: 'owned' })
    expect(denied.peers.programmed).to.equal(before.peers.programmed)
    await stream.nextAnswer()
    await administer('etcdctl user grant-role h3 tweed-agent')
    await statusBecomes(host, 'ready', ({ health }) => health.state === 'ready', patienceMs)
    const { received, lost } = await stream.stop()
    expect(received).to.be.above(10)
    expect(lost).to.equal(0)
  })

  it('may be taken away with the key: it is claimed again when they are given back', async () => {
    const host = lab.host(2)
    await administer('etcdctl user revoke-role h2 subnet-10.5.53.0-24')
    await lab.etcdctl('del', subnetKey('10.5.53.0/24'))
    const denied = await statusBecomes(
      host,
      'denied',
      (status) => /needs readwrite on .*10\.5\.53\.0-24/.test(reasons(status)),
      patienceMs,
    )
    expect(denied.health.state).to.equal('degraded')
    expect(denied.lease).to.include({ subnet: '10.5.53.0/24', state: 'lost' })
    await administer('etcdctl user grant-role h2 subnet-10.5.53.0-24')
    const { lease } = await statusBecomes(host, 'owned', (s) => s.lease?.state === 'owned', patienceMs)
    expect(lease?.subnet).to.equal('10.5.53.0/24')
  })

  it('let a host with one key leave; a reservation stays', async () => {
    const { lease } = await lab.host(2).status()
    for (const number of [1, 2]) {
      const host = lab.host(number)
      const left = await host.tweed('leave', ...etcdFlags(lab), ...flagsOf(host), ...fileFlags(host))
      expect(left.code, told(left)).to.equal(0)
    }
    const keys = (await lab.etcdEntries()).map(({ key }) => key)
    expect(keys).to.include(subnetKey('10.5.52.0/24'))
    expect(keys).not.to.include(subnetKey('10.5.53.0/24'))
    expect(await lab.leaseSeconds(lease?.leaseId ?? '0')).to.equal(undefined)
  })
})
