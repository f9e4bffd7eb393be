import { expect } from 'chai'
import type { Container } from '../../support/container.ts'
import { dualStack, type Family, ipv4, ipv4Only, ipv6 } from '../../support/families.ts'
import type { Host } from '../../support/host.ts'
import { Lab } from '../../support/lab.ts'
import { peerBecomes, statusBecomes, tableLines, twoContainers } from '../../support/overlay.ts'
import { eventually } from '../../support/process.ts'
import { lossDuring } from '../../support/traffic.ts'

/** The promise: back within a second each, from the end of the command on. */
const withinMs = 1000

interface Peer {
  readonly subnet: string
  /** Next hop of its subnet. */
  readonly hop: string
  readonly mac: string
}

/** A command of the shell that disturbs the device of a family, or its rows for a peer. */
type Disturbance = (family: Family, peer: Peer) => string

const wrongMac = '02:00:00:00:00:99'
const wrongHop = { IPv4: '10.5.99.0', IPv6: 'fc00:0:0:f99::' }

const down: Disturbance = ({ device }) => `ip link set ${device} down`
const downAndUp: Disturbance = ({ device }) => `ip link set ${device} down; ip link set ${device} up`
const flushRoutes: Disturbance = ({ option }) => `ip ${option} route flush proto 84`
const flushNeighbours: Disturbance = ({ option, device }) => `ip ${option} neigh flush dev ${device} nud all`
const deleteFdb: Disturbance = ({ device }, { mac }) => `bridge fdb del ${mac} dev ${device}`
const replaceNeighbour = (family: Family, { hop, mac }: Pick<Peer, 'hop' | 'mac'>, nud: string) =>
  `ip neigh replace ${hop} lladdr ${mac} dev ${family.device} nud ${nud}`

const disturbances: Readonly<Record<string, Disturbance>> = {
  'the device deleted': ({ device }) => `ip link del ${device}`,
  'the device set down and up': downAndUp,
  'the device set down and up ten times in a row': (family, peer) =>
    `for i in 0 1 2 3 4 5 6 7 8 9; do ${downAndUp(family, peer)}; done`,
  'the device left down': down,
  'its MAC changed': ({ device }) => `ip link set ${device} address ${wrongMac}`,
  'its MTU changed': ({ device }) => `ip link set ${device} mtu 1300`,
  'its address deleted': ({ option, device }) => `ip ${option} addr flush dev ${device}`,
  'its neighbours flushed': flushNeighbours,
  'its routes flushed': flushRoutes,
  'an FDB entry deleted': deleteFdb,
  'an FDB entry pointed elsewhere': ({ device, underlay }, { mac }) =>
    `bridge fdb replace ${mac} dev ${device} dst ${underlay(99)} self permanent`,
  'a neighbour deleted': ({ device }, { hop }) => `ip neigh del ${hop} dev ${device}`,
  'a neighbour with another MAC': (family, { hop }) =>
    replaceNeighbour(family, { hop, mac: wrongMac }, 'permanent'),
  'a neighbour turned reachable': (family, peer) => replaceNeighbour(family, peer, 'reachable'),
  'a route deleted': ({ option }, { subnet }) => `ip ${option} route del ${subnet}`,
  'a route of ours with another next hop': ({ name, device }, { subnet }) =>
    `ip route replace ${subnet} via ${wrongHop[name]} dev ${device} onlink proto 84`,
  'everything at once': (...on) =>
    [flushRoutes, flushNeighbours, deleteFdb].map((each) => each(...on)).join('; '),
}
const disturbancesOf6: Readonly<Record<string, Disturbance>> = {
  'IPv6 switched off on it': ({ device }) => `echo 1 > /proc/sys/net/ipv6/conf/${device}/disable_ipv6`,
}

for (const [overlay, family] of [
  [ipv4Only, ipv4],
  [dualStack, ipv6],
] as const)
  for (const resolve of ['eager', 'on-miss'] as const)
    describe(`agent: drift of ${family.name}, ${overlay.name} (${resolve})`, () => {
      let lab: Lab
      let a: Container
      let b: Container
      let peer: Peer
      /** In all families, as the agent tells of it. */
      let subnets: string
      let settled: readonly string[]
      const { device } = family
      const others = overlay.families.length > 1 ? ', and the other family loses nothing' : ''

      /** Without the answers for single containers, which come and go by design. */
      const hostLines = async (host: Host) =>
        (await tableLines(host, device)).filter((line) => !line.endsWith('NOARP'))
      const linkOf = async (host: Host) => {
        const [link] = JSON.parse(await host.netns.ip('-j', '-d', 'addr', 'show', device)) as [
          Record<string, unknown>,
        ]
        const { address, mtu, flags, addr_info: addresses, linkinfo } = link
        const printed = (addresses as { local: string; prefixlen: number }[]).map((x) => [
          x.local,
          x.prefixlen,
        ])
        return { address, mtu, flags, printed, linkinfo }
      }

      before(async () => {
        const { ipv6, config } = overlay
        lab = await Lab.create({ hosts: 2, ipv6, config, agentFlags: ['--resolve', resolve] })
        await lab.startAgents()
        ;[a, b] = await twoContainers(lab)
        for (const { addressOf } of overlay.families) await a.ping(addressOf(b))
        const status = await lab.host(2).status()
        subnets = status.lease?.subnet ?? ''
        const subnet = subnets.split(',')[overlay.families.indexOf(family)] ?? ''
        const { mac = '' } = (family === ipv4 ? status.device : status.device6) ?? {}
        peer = { subnet, hop: subnet.replace(/\/.*/, ''), mac }
        await peerBecomes(lab.host(1), subnets, (known) => known?.state === 'programmed')
        settled = await hostLines(lab.host(1))
      })
      after(() => lab.destroy())

      for (const [what, how] of Object.entries({
        ...disturbances,
        ...(family === ipv6 && disturbancesOf6),
      }))
        it(`repairs ${what}${others}`, async function () {
          const host = lab.host(1)
          const link = await linkOf(host)
          let backMs = Infinity
          const losses = await lossDuring(a, b, async () => {
            await host.exec('sh', '-c', how(family, peer))
            const since = performance.now()
            await eventually(
              'rows and device as before',
              async () => {
                const isBack =
                  JSON.stringify(await hostLines(host).catch(() => [])) === JSON.stringify(settled)
                const now = await linkOf(host).catch(() => undefined)
                return isBack && JSON.stringify(now) === JSON.stringify(link) ? true : undefined
              },
              withinMs,
            ).catch(async (error: unknown) => {
              expect(await hostLines(host), String(error)).to.deep.equal(settled)
              expect(await linkOf(host), String(error)).to.deep.equal(link)
              throw error
            })
            backMs = performance.now() - since
          })
          const [own, other] = family === ipv4 ? [losses.ipv4, losses.ipv6] : [losses.ipv6, losses.ipv4]
          expect(own.longestGapMs).to.be.lessThan(withinMs)
          expect(other.lost).to.equal(0)
          if (this.test)
            this.test.title += `: seen back after ${backMs.toFixed(0)} ms, longest gap ${own.longestGapMs.toFixed(0)} ms, ${own.lost} lost`
        })

      it('recognises who fights for a row, slows down, and is at peace when the other stops', async () => {
        const host = lab.host(1)
        const stream = await a.pingStream(family.addressOf(b))
        const wrong = replaceNeighbour(family, { ...peer, mac: wrongMac }, 'permanent')
        const rival = host.netns.start('sh', '-c', `while :; do ${wrong}; sleep 0.05; done`)
        try {
          const status = await statusBecomes(host, 'fight', ({ rowFights }) => rowFights === 1)
          const row = `neigh ${peer.hop} lladdr ${peer.mac} nud permanent dev ${device}`
          const report = status.faults.find(({ code }) => code === 'row-fight')?.message
          expect(report).to.match(new RegExp(`^${row} was changed 5 times, last by netlink port [0-9]+`))
          expect(status.health.reasons.map(({ code }) => code)).to.include('row-fight')
          await peerBecomes(host, subnets, (known) => /^row-fight: changed ./.test(known?.detail ?? ''))
          const repairs = async () => (await host.status()).driftRepairs
          const before = await repairs()
          await statusBecomes(host, 'still repairing', ({ driftRepairs }) => driftRepairs > before)
        } finally {
          await rival.kill()
        }
        await statusBecomes(host, 'peace', ({ rowFights }) => rowFights === 0, 40_000)
        expect(await hostLines(host)).to.deep.equal(settled)
        await stream.nextAnswer()
        await stream.stop()
        expect(host.agent?.logs.join('\n')).to.include('row.fight').and.include('row.peace')
      })

      it('counts what it has repaired, and is ready again', async () => {
        const status = await statusBecomes(lab.host(1), 'ready', ({ health }) => health.state === 'ready')
        expect(status.driftRepairs).to.be.greaterThan(0)
        expect(status.tables.routes.failed).to.equal(0)
      })

      it('leaves a foreign route where ours belongs, reports it, and takes over when it goes', async () => {
        const host = lab.host(1)
        const { subnet } = peer
        const route = async () => (await host.netns.ip(family.option, 'route', 'show', subnet)).trim()
        const ours = await route()
        await host.netns.ip('route', 'replace', subnet, 'via', family.underlay(1), 'proto', 'static')
        const known = await peerBecomes(host, subnets, (now) => now?.state === 'failed')
        expect(known?.detail, known?.detail).to.match(/^route-conflict: ./)
        expect(await route()).to.contain('proto static')
        const status = await statusBecomes(host, 'degraded', ({ health }) => health.state === 'degraded')
        expect(status.health.reasons.map(({ code }) => code)).to.include('rows-failed')
        await host.netns.ip(family.option, 'route', 'del', subnet, 'proto', 'static')
        await peerBecomes(host, subnets, (now) => now?.state === 'programmed')
        expect(await route()).to.equal(ours)
        expect((await a.ping(family.addressOf(b))).received).to.equal(1)
      })
    })
