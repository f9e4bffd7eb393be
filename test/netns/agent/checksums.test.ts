import { expect } from 'chai'
import type { Container } from '../../support/container.ts'
import type { Host } from '../../support/host.ts'
import { Lab } from '../../support/lab.ts'
import type { Netns } from '../../support/netns.ts'
import { nft } from '../../support/nft.ts'
import { etcdFlags, fileFlags, statusBecomes, told, twoContainers } from '../../support/overlay.ts'
import type { PingStream } from '../../support/ping.ts'
import { type Daemon, eventually } from '../../support/process.ts'
import { startTcpServer, tcpTransfer } from '../../support/tcp.ts'

const devices = ['tweed.1', 'tweed-v6.1']
const flag = '--tx-checksum-offload'

/** As the program ethtool says it. */
const offloads = async (host: Host): Promise<readonly string[]> =>
  Promise.all(
    devices.map(async (device) => {
      const features = await host.exec('ethtool', '-k', device)
      return /^\ttx-checksum-ip-generic: (.*)$/m.exec(features)?.[1] ?? ''
    }),
  )
const bothOff = ['off', 'off']
const bothOn = ['on', 'on']

const restart = async (host: Host, ...flags: readonly string[]): Promise<void> => {
  await host.agent?.kill()
  await (await host.startAgent(flags)).waitReady()
}

describe(`agent ${flag}`, () => {
  const config = {
    Network: '10.5.0.0/16',
    EnableIPv6: true,
    IPv6Network: 'fc00::/48',
    Backend: { Type: 'vxlan' },
  }
  let lab: Lab
  let host: Host
  let a: Container
  let b: Container
  before(async () => {
    lab = await Lab.create({ hosts: 2, config, ipv6: true })
    host = lab.host(1)
    await lab.startAgents()
    ;[a, b] = await twoContainers(lab)
    await startTcpServer(b.netns)
  })
  after(() => lab.destroy())

  const plan = (...flags: readonly string[]) =>
    host.tweed('plan', ...etcdFlags(lab), ...fileFlags(host), '--iface', 'eth0', ...flags)
  const carries = async (): Promise<void> => {
    for (const to of [b.address, b.address6]) expect(await tcpTransfer(a.netns, to), to).to.equal(true)
  }

  it('leaves new devices as the kernel makes them, and they carry TCP', async () => {
    expect(await offloads(host)).to.deep.equal(bothOn)
    await carries()
  })

  it('is planned for both devices, as commands', async () => {
    const planned = await plan(flag, 'off')
    const lines = devices.map((device) => `ethtool -K ${device} tx-checksum-ip-generic off\n`)
    expect(planned.stdout, told(planned)).to.equal(lines.join(''))
    expect((await plan(flag, 'on')).stdout).to.equal('# nothing to change\n')
    expect((await plan()).stdout).to.equal('# nothing to change\n')
  })

  it('switches both off at a restart without losing a packet, and they carry TCP', async () => {
    const stream = await a.pingStream(b.address)
    await restart(host, flag, 'off')
    await eventually(
      'both are off',
      async () => (await offloads(host)).join() === bothOff.join() || undefined,
    )
    expect((await plan(flag, 'off')).stdout).to.equal('# nothing to change\n')
    await carries()
    await stream.nextAnswer()
    expect((await stream.stop()).lost).to.equal(0)
  })

  it('switches off again what somebody else switches on', async () => {
    for (const device of devices) {
      await host.exec('ethtool', '-K', device, 'tx-checksum-ip-generic', 'on')
      await eventually(
        `${device} is off`,
        async () => (await offloads(host)).join() === bothOff.join() || undefined,
      )
    }
  })

  it('makes a device without that somebody has deleted', async () => {
    await host.netns.batch(['link del tweed.1'])
    await eventually('both are off', async () =>
      (await offloads(host).catch(() => [])).join() === bothOff.join() ? true : undefined,
    )
  })

  it('leaves them off for an agent that is told nothing of it', async () => {
    await restart(host)
    await statusBecomes(host, 'ready', ({ health: { state } }) => state === 'ready')
    expect(await offloads(host)).to.deep.equal(bothOff)
  })

  it('switches them on again where that is wanted', async () => {
    await restart(host, flag, 'on')
    await eventually('both are on', async () => (await offloads(host)).join() === bothOn.join() || undefined)
    await carries()
  })
})

/** 16 bits of an address, and 16 more. */
const halves = (address: string): readonly number[] => {
  const [a = 0, b = 0, c = 0, d = 0] = address.split('.').map(Number)
  return [a * 256 + b, c * 256 + d]
}

/** RFC 1071: what stands in the checksum field of a segment that the network card is to finish: the pseudo header. */
const unfinishedChecksum = (from: string, to: string, segmentBytes: number): number => {
  const protocol = 6
  let sum = [...halves(from), ...halves(to), protocol, segmentBytes].reduce((x, y) => x + y)
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >> 16)
  return sum
}

/** From the outer UDP header: 8 UDP + 8 VXLAN + 14 Ethernet + 20 IPv4 + 16, in bits. */
const innerTcpChecksum = '@th,528,16'
const outerChecksum = '@th,48,16'

/** Does to packets that leave a host what a network card might. */
const atWire = (underlay: Netns, host: Host, rule: string): Promise<string> =>
  nft(
    underlay,
    `table netdev card {
      chain in { type filter hook ingress device ${host.name} priority 0; udp dport 8472 ${rule}; }
    }`,
  )

describe('agent behind a network card that gets checksums wrong', () => {
  let lab: Lab
  let a: Container
  let b: Container
  const pings: PingStream[] = []
  const servers: Daemon[] = []
  before(async () => {
    lab = await Lab.create({ hosts: 2, agentFlags: ['--resync', '1s'] })
    await lab.startAgents()
    ;[a, b] = await twoContainers(lab)
    for (const netns of [b.netns, lab.host(2).netns]) servers.push(await startTcpServer(netns))
  })
  afterEach(async () => {
    await lab.underlay.exec('nft', 'flush', 'ruleset')
    await Promise.all(pings.splice(0).map((stream) => stream.stop()))
  })
  after(async () => {
    await Promise.all(servers.map((server) => server.kill()))
    await lab.destroy()
  })

  const reaches = (): Promise<boolean> => tcpTransfer(a.netns, b.address, { waitMs: 1500 })

  it(`is got round with ${flag} off: ping works either way, TCP only so`, async () => {
    // A SYN of Linux has 20 bytes of options. Unfinished it is worth nothing to whoever gets it: as if it were dropped.
    const unfinished = unfinishedChecksum(a.address, b.address, 40)
    await atWire(lab.underlay, lab.host(1), `${innerTcpChecksum} ${String(unfinished)} counter drop`)
    expect((await a.ping(b.address)).received).to.equal(1)
    expect(await reaches()).to.equal(false)
    await restart(lab.host(1), flag, 'off')
    await eventually('TCP passes', async () => (await reaches()) || undefined)
    await restart(lab.host(1), flag, 'on')
    await eventually('TCP hangs again', async () => !(await reaches()) || undefined)
  })

  it('is told by the receiver where outer checksums are wrong, and well again when they are right', async () => {
    const receiver = lab.host(2)
    await lab.host(1).exec('ethtool', '-K', 'eth0', 'tx', 'off') // or nobody checks between two ends of a veth
    await statusBecomes(receiver, 'ready', ({ health: { state } }) => state === 'ready')
    expect((await receiver.status()).checksumErrors).to.deep.equal({ udp: 0, tcp: 0 })
    pings.push(await a.pingStream(b.address, 20))
    await atWire(lab.underlay, lab.host(1), `${outerChecksum} set 0xdead`)
    const { health } = await statusBecomes(
      receiver,
      'degraded',
      ({ health: { state } }) => state === 'degraded',
    )
    expect(health.reasons).to.deep.equal([
      {
        code: 'checksum-errors',
        message: 'UDP packets arrive with wrong checksums, and are dropped; their sender is at fault',
      },
    ])
    const { udp, tcp } = (await receiver.status()).checksumErrors
    expect(udp).to.be.greaterThan(4)
    expect(tcp).to.equal(0)
    expect((await receiver.tweed('status', '--run-dir', receiver.paths.runDir)).stdout).to.match(/^checksums +\d+ wrong in UDP, 0 in TCP$/m) // prettier-ignore
    await lab.underlay.exec('nft', 'flush', 'ruleset')
    await statusBecomes(receiver, 'ready', ({ health: { state } }) => state === 'ready')
  })

  const innerWrong = `${outerChecksum} set 0 ${innerTcpChecksum} set 0xdead`
  /** As the kernel counts them for the processes of a namespace. */
  const tcpErrors = async (netns: Netns): Promise<number> => {
    const [names = '', numbers = ''] = (await netns.exec('cat', '/proc/net/snmp')).match(/^Tcp: .*$/gm) ?? []
    return Number(numbers.split(' ')[names.split(' ').indexOf('InCsumErrors')])
  }

  it('is told by the receiver where inner ones are wrong, of connections to itself', async () => {
    const receiver = lab.host(2)
    const own = (await receiver.status()).lease?.subnet.replace('/24', '') ?? ''
    await atWire(lab.underlay, lab.host(1), innerWrong)
    const { tcp } = (await receiver.status()).checksumErrors
    expect(await tcpTransfer(a.netns, own, { waitMs: 1500 })).to.equal(false)
    await statusBecomes(receiver, 'counts them', ({ checksumErrors }) => checksumErrors.tcp > tcp)
  })

  it('is seen in the container alone where inner ones to it are wrong', async () => {
    const before = await tcpErrors(b.netns)
    const atHost = await tcpErrors(lab.host(2).netns)
    await atWire(lab.underlay, lab.host(1), innerWrong)
    expect(await reaches()).to.equal(false)
    expect(await tcpErrors(b.netns)).to.be.greaterThan(before)
    expect(await tcpErrors(lab.host(2).netns)).to.equal(atHost)
  })
})
