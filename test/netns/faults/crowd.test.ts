import { expect } from 'chai'
import { firstValueFrom, lastValueFrom } from 'rxjs'
import { openLeaseStore } from '../../../src/adapters/etcd/store.ts'
import { Ipv4 } from '../../../src/core/net/ipv4.ts'
import { Mac } from '../../../src/core/net/mac.ts'
import { Fault } from '../../../src/core/fault.ts'
import { acquire$ } from '../../../src/streams/acquire.ts'
import { adopt } from '../../../src/streams/network.ts'
import { Etcd } from '../../support/etcd.ts'
import { residentBytes } from '../../support/faults/cpu.ts'
import { EtcdAccess } from '../../support/faults/etcd-access.ts'
import { joinUnderlay } from '../../support/faults/join-underlay.ts'
import { differencesOn } from '../../support/faults/oracle.ts'
import { row } from '../../support/faults/rows.ts'
import { builtProgram, Lab, prefix } from '../../support/lab.ts'
import { halfConfig, recordOf, subnetKey } from '../../support/overlay.ts'
import { eventually } from '../../support/process.ts'

describe('etcd under fault: crowds', function () {
  this.timeout(180_000)

  it(row(21), async () => {
    const etcd = await Etcd.start()
    const config = JSON.stringify({
      Network: '10.5.0.0/16',
      SubnetMin: '10.5.0.0',
      Backend: { Type: 'vxlan' },
    })
    const stores = Array.from({ length: 200 }, () => openLeaseStore({ endpoints: etcd.url, prefix }))
    try {
      await etcd.put(`${prefix}/config`, config)
      const acquire = async (store: (typeof stores)[number], i: number) => {
        const { config: stored } = await firstValueFrom(store.read$())
        const state = adopt({ kind: 'none', fault: Fault.of('config-missing') }, stored, undefined)
        if (state.kind === 'none') throw new Error(state.fault.message)
        const me = {
          node: `node-${i}`,
          ipv4: {
            publicIp: Ipv4.of((198 << 24) + (18 << 16) + i),
            vtepMac: Mac.local([2, 0, 0, 0, i >> 8, i & 255]),
          },
          ipv6: undefined,
        }
        return lastValueFrom(
          acquire$({
            ...{ store, network: state.network, ttlSeconds: 600, random: Math.random },
            ...{
              held: undefined,
              wanted: undefined,
              previous: undefined,
              insist: undefined,
              view$: store.read$(),
            },
            me,
          }),
        )
      }
      const won = await Promise.all(stores.map(acquire))
      expect(new Set(won.map(({ key }) => key)).size).to.equal(200)
      const listed = await etcd.ctl('get', '--prefix', '--keys-only', `${prefix}/subnets/`)
      expect(listed.split('\n').filter((line) => line !== '')).to.have.length(200)
    } finally {
      for (const store of stores) store.close()
      await etcd.stop()
    }
  })

  it(row(34), async () => {
    const count = 10_000
    const lab = await Lab.create({
      hosts: 1,
      config: {
        ...halfConfig,
        Network: '10.0.0.0/8',
        SubnetLen: 24,
        SubnetMin: '10.1.0.0',
        SubnetMax: '10.99.0.0',
      },
      program: ['prlimit', '--nofile=64', '--', ...builtProgram()],
    })
    const etcd = new EtcdAccess([lab.endpoint])
    try {
      await joinUnderlay(lab)
      const host = lab.host(1)
      await (await host.startAgent()).waitReady(60_000)
      const entry = (version: number) => (_: unknown, n: number) => {
        const [high, low] = [n >> 8, n & 255]
        const mac = `02:00:5e:01:${[high, low].map((b) => b.toString(16).padStart(2, '0')).join(':')}`
        const publicIp = `198.${18 + (version % 2)}.${high}.${low}`
        return [subnetKey(`10.${100 + high}.${low}.0/24`), recordOf(n, { mac, publicIp })] as const
      }
      const agrees = (version: number) =>
        eventually(
          `version ${version} of all peers`,
          async () => {
            const { peers, tables } = await host.status()
            if (peers.programmed !== count || tables.fdb.pending > 0) return undefined
            return (
              (await differencesOn(host, await etcd.list(`${prefix}/subnets/`), {})).length === 0 || undefined
            )
          },
          90_000,
        )
      const resident: number[] = []
      for (let version = 0; version < 4; version++) {
        await etcd.putAll(Array.from({ length: count }, entry(version)))
        await agrees(version)
        resident.push((await residentBytes(host.agent?.pid ?? 0)) / 2 ** 20)
      }
      expect(
        Math.max(...resident),
        `MiB after each round: ${resident.map(Math.round).join()}`,
      ).to.be.lessThan(300)
    } finally {
      etcd.close()
      await lab.destroy()
    }
  })
})
