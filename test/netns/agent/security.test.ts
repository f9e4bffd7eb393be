import { copyFile, mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { expect } from 'chai'
import type { AgentStatus } from '../../../src/core/status.ts'
import { Certificates } from '../../support/certificates.ts'
import type { EtcdTls } from '../../support/etcd.ts'
import type { Host } from '../../support/host.ts'
import { Lab } from '../../support/lab.ts'
import {
  fakeSubnet,
  fileFlags,
  halfConfig,
  peerBecomes,
  putFake,
  statusBecomes,
  twoContainers,
} from '../../support/overlay.ts'
import { eventually, run } from '../../support/process.ts'

const etcdAddress = '192.0.2.1'
const login = ['--etcd-username', 'agent', '--etcd-password', 'pass-word%s/7']
const secret = /pass-word|%s\/7|wr0ng|PRIVATE KEY/

const reasons = ({ health }: AgentStatus): string =>
  health.reasons.map(({ code, message }) => `${code}: ${message}`).join('\n')
const isReady = ({ health }: AgentStatus): boolean => health.state === 'ready'
const isDenied = (status: AgentStatus): boolean => /^etcd-denied/m.test(reasons(status))

/** Everything that somebody might read. */
const said = async (host: Host): Promise<string> =>
  [...(host.agent?.logs ?? []), JSON.stringify(await host.status()), JSON.stringify(await host.peers())].join(
    '\n',
  )

describe('agent: TLS with a CA only, user name and password', () => {
  let authority: Certificates
  let lab: Lab
  let ca: readonly string[]

  before(async () => {
    authority = await Certificates.create()
    const tls = await authority.issue('server', etcdAddress)
    ca = ['--etcd-cafile', tls.ca]
    // Tokens that live for a second: each request but the first of a burst comes with an expired one.
    lab = await Lab.create({ hosts: 2, config: halfConfig, etcd: { tls, flags: ['--auth-token-ttl=1'] } })
  })
  after(async () => {
    await lab.destroy()
    await authority.remove()
  })

  it('needs nothing but the CA', async () => {
    await lab.startAgents(ca)
  })

  it('does not go on in clear text without it', async () => {
    const plain = lab.endpoint.replace('https', 'http')
    const refused = await lab
      .host(1)
      .tweed('agent', '--etcd-endpoints', plain, ...ca, ...fileFlags(lab.host(1)))
    expect(refused.code).to.equal(2)
    expect(refused.stderr).to.match(/clear text/)
    const { stderr } = await lab.host(1).tweed('network', 'get', '--etcd-endpoints', lab.endpoint)
    expect(stderr).to.match(/etcd-denied: TLS: .*certificate/)
  })

  it('tells a host without a login that it has none, and keeps its rows', async () => {
    const root = ['--user', 'root:root-secret']
    for (const args of [
      ['user', 'add', 'root:root-secret'],
      ['user', 'grant-role', 'root', 'root'],
      ['user', 'add', `agent:${login[3] ?? ''}`],
      ['role', 'add', 'agent'],
      ['role', 'grant-permission', '--prefix=true', 'agent', 'readwrite', '/coreos.com/network/'],
      ['user', 'grant-role', 'agent', 'agent'],
      ['auth', 'enable'],
    ])
      await lab.etcdctl(...args)
    lab.etcd.ctlFlags = root
    const host = lab.host(1)
    await eventually('both on disk', async () => ((await host.keptRecords()).length === 2 ? true : undefined))
    await host.agent?.kill()
    await host.startAgent(ca)
    const denied = await statusBecomes(host, 'denied', isDenied)
    expect(reasons(denied)).to.match(/user name is empty/)
    const held = await statusBecomes(host, 'peers of the last run', ({ peers }) => peers.programmed === 1)
    expect(held.lease?.state).to.equal('unsure')
  })

  it('tells a host with a wrong password so, without the password', async () => {
    const host = lab.host(1)
    await host.agent?.kill()
    await host.startAgent([
      ...ca,
      '--etcd-username',
      'agent',
      '--etcd-password',
      'wr0ng',
      '--log-level',
      'debug',
    ])
    const denied = await statusBecomes(host, 'denied', isDenied)
    expect(reasons(denied)).to.match(/authentication failed/)
    expect(await said(host)).not.to.match(secret)
  })

  it('adopts what it has once it may log in', async () => {
    const revision = await lab.etcdRevision()
    for (const host of lab.hosts) {
      await host.agent?.kill()
      const agent = await host.startAgent([...ca, ...login, '--audit', '3s', '--log-level', 'debug'])
      await agent.waitReady()
    }
    expect(await lab.etcdRevision()).to.equal(revision)
  })

  it('gets another token when etcd has forgotten it: no packet is lost, no event either', async () => {
    const [a, b] = await twoContainers(lab)
    await statusBecomes(lab.host(1), 'a peer', ({ peers }) => peers.programmed === 1)
    const stream = await a.pingStream(b.address)
    await lab.etcd.kill()
    await statusBecomes(lab.host(1), 'no etcd', ({ etcd }) => !etcd.connected)
    await lab.etcd.restart()
    await putFake(lab, 1)
    await peerBecomes(lab.host(1), fakeSubnet(1), (peer) => peer?.state === 'programmed')
    await statusBecomes(lab.host(1), 'ready', isReady)
    expect((await stream.stop()).lost).to.equal(0)
  })

  it('gets another when it has expired, which is nothing to tell anybody', async () => {
    const { agent } = lab.host(1)
    const metrics = ['curl', '-sf', '--cacert', ca[1] ?? '', `${lab.endpoint}/metrics`]
    const logins = async () =>
      Number(
        /grpc_server_handled_total{grpc_code="OK",grpc_method="Authenticate".*} (\d+)/.exec(
          await lab.underlay.exec(...metrics),
        )?.[1] ?? 0,
      )
    const [before, logged] = [await logins(), agent?.logs.length ?? 0]
    await eventually(
      'two audits, each with a new login',
      async () => ((await logins()) >= before + 3 ? true : undefined),
      30_000,
    )
    const later = agent?.logs.slice(logged).join('\n')
    expect(later).not.to.match(/etcd\.disconnected|etcd-denied/)
    expect((await lab.host(1).status()).etcd).to.include({ connected: true, missedEvents: 0 })
  })

  it('keeps the secrets', async () => {
    for (const host of lab.hosts) expect(await said(host)).not.to.match(secret)
    for (const url of [
      'http://agent:wr0ng@192.0.2.1:2379',
      'agent:wr0ng@192.0.2.1:2379',
      'https://agent:wr0ng@192.0.2.1',
    ]) {
      const { code, stderr } = await lab.host(1).tweed('network', 'get', '--etcd-endpoints', url)
      expect(code, stderr).to.equal(2)
      expect(stderr)
        .to.match(/--etcd-endpoints/)
        .and.not.match(secret)
    }
    const { stderr } = await run(
      lab
        .host(1)
        .commandLine('network', 'get', '--etcd-endpoints', lab.endpoint, ...ca, ...login.with(3, 'wr0ng')),
    )
    expect(stderr)
      .to.match(/authentication failed/)
      .and.not.match(secret)
  })
})

describe('agent: certificates that are replaced while it runs', () => {
  let [old, renewed]: [Certificates | undefined, Certificates | undefined] = [undefined, undefined]
  let lab: Lab
  let served: EtcdTls
  const shown = new Map<Host, EtcdTls>()

  const copyOf = async (folder: string, { ca, cert, key }: EtcdTls): Promise<EtcdTls> => {
    await mkdir(folder, { recursive: true })
    const copy = { ca: join(folder, 'ca.crt'), cert: join(folder, 'it.crt'), key: join(folder, 'it.key') }
    await copyFile(ca, copy.ca)
    await copyFile(cert, copy.cert)
    await copyFile(key, copy.key)
    return copy
  }
  const flagsOf = (host: Host): readonly string[] => {
    const { ca = '', cert = '', key = '' } = shown.get(host) ?? {}
    return ['--etcd-cafile', ca, '--etcd-certfile', cert, '--etcd-keyfile', key, '--etcd-cert-reload', '1s']
  }

  before(async () => {
    old = await Certificates.create()
    renewed = await Certificates.create()
    served = await copyOf(join(old.directory, 'served'), await old.issue('server', etcdAddress))
    const flags = ['--client-cert-auth', `--trusted-ca-file=${served.ca}`]
    lab = await Lab.create({ hosts: 2, config: halfConfig, etcd: { tls: served, flags } })
    for (const host of lab.hosts) {
      shown.set(host, await copyOf(join(old.directory, host.name), await old.issue(host.name)))
      await (await host.startAgent(flagsOf(host))).waitReady()
    }
  })
  after(async () => {
    await lab.destroy()
    await old?.remove()
    await renewed?.remove()
  })

  it('takes the new ones without a restart, when the old ones are refused, and loses no packet', async () => {
    const [host, other] = [lab.host(1), lab.host(2)]
    const [a, b] = await twoContainers(lab)
    await statusBecomes(host, 'a peer', ({ peers }) => peers.programmed === 1)
    const revision = await lab.etcdRevision()
    const stream = await a.pingStream(b.address)
    if (!renewed || !old) throw new Error('no authorities')
    await lab.etcd.kill()
    await copyOf(join(old.directory, 'served'), await renewed.issue('server', etcdAddress))
    await lab.etcd.restart()
    const { health } = await statusBecomes(host, 'refusing etcd', isDenied, 30_000)
    expect(health.reasons.map(({ message }) => message).join()).to.match(/TLS: .*certificate/)

    const fresh = await renewed.issue(host.name)
    for (const each of [host, other])
      await copyOf(join(old.directory, each.name), each === host ? fresh : await renewed.issue(each.name))
    for (const each of [host, other]) await statusBecomes(each, 'ready', isReady, 30_000)
    await putFake(lab, 1)
    await peerBecomes(host, fakeSubnet(1), (peer) => peer?.state === 'programmed')
    expect((await stream.stop()).lost).to.equal(0)
    expect(await lab.etcdRevision()).to.equal(revision + 1)
    const keyText = await run(['head', '-n', '3', fresh.key])
    expect(await said(host)).not.to.include(keyText.stdout.split('\n')[1])
  })

  it('is told when a certificate and a key are not a pair', async () => {
    const [host, other] = lab.hosts.map((each) => shown.get(each))
    const files = ['--etcd-certfile', host?.cert ?? '', '--etcd-keyfile', other?.key ?? '']
    const { code, stderr } = await lab
      .host(1)
      .tweed('network', 'get', '--etcd-endpoints', lab.endpoint, ...files)
    expect(code).to.equal(2)
    expect(stderr).to.match(/--etcd-certfile.* can't be used: .*mismatch/)
  })

  it('is refused by etcd with the old one', async () => {
    if (!old || !renewed) throw new Error('no authorities')
    const [{ cert, key }, { ca }] = [await old.issue('late'), await renewed.issue('any')]
    const files = ['--etcd-cafile', ca, '--etcd-certfile', cert, '--etcd-keyfile', key]
    const { code, stderr } = await lab
      .host(1)
      .tweed('network', 'get', '--etcd-endpoints', lab.endpoint, ...files)
    expect(code).to.equal(1)
    expect(stderr).to.match(/^tweed: etcd-/m)
  })
})
