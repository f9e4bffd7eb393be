import { Etcd3 } from 'etcd3'
import { rm } from 'node:fs/promises'
import type { Host } from '../../test/support/host.ts'
import { Lab, prefix } from '../../test/support/lab.ts'
import { output } from '../../test/support/process.ts'
import { benchConfig, numbers, recordOf, type PeerRecord } from './peers.ts'

export { prefix } from '../../test/support/lab.ts'

/** Most operations in a transaction of etcd (`--max-txn-ops`, 128). */
const perTransaction = 100

export interface BenchLabOptions {
  readonly hosts?: number
  readonly agentFlags?: readonly string[]
  readonly config?: object
}

/** The laboratory of the tests, with this process on its underlay, so that it can talk to etcd itself. */
export class BenchLab {
  readonly lab: Lab
  readonly etcd: Etcd3

  private constructor(lab: Lab) {
    this.lab = lab
    this.etcd = new Etcd3({ hosts: lab.endpoint.split(',') })
  }

  static async create(options: BenchLabOptions = {}): Promise<BenchLab> {
    const { hosts = 1, agentFlags = [], config = benchConfig } = options
    const lab = await Lab.create({ hosts, agentFlags, config })
    const { name } = lab.underlay
    await output(['ip', 'link', 'add', 'bench', 'type', 'veth', 'peer', 'name', 'bench', 'netns', name])
    await lab.underlay.batch(['link set bench master br0', 'link set bench up'])
    await output(['ip', 'addr', 'add', '192.0.2.254/24', 'dev', 'bench'])
    await output(['ip', 'link', 'set', 'bench', 'up'])
    return new BenchLab(lab)
  }

  get host(): Host {
    return this.lab.host(1)
  }

  async destroy(): Promise<void> {
    this.etcd.close()
    await this.lab.destroy()
  }

  /** As fast as etcd takes them. */
  async put(records: readonly PeerRecord[], inFlight = 4): Promise<void> {
    const batches = numbers(Math.ceil(records.length / perTransaction)).map((i) =>
      records.slice(i * perTransaction, (i + 1) * perTransaction),
    )
    const worker = async () => {
      for (let batch = batches.shift(); batch; batch = batches.shift())
        await this.etcd
          .if(prefix, 'Version', '>', -1)
          .then(...batch.map(({ key, value }) => this.etcd.put(key).value(value)))
          .commit()
    }
    await Promise.all(Array.from({ length: inFlight }, worker))
  }

  putPeers(
    count: number,
    options: { from?: number; prefix?: string; generation?: number } = {},
  ): Promise<void> {
    const { from = 0, prefix: below = prefix, generation = 0 } = options
    return this.put(numbers(count, from).map((i) => recordOf(below, i, generation)))
  }

  async deletePeers(count: number, from = 0): Promise<void> {
    const keys = numbers(count, from).map((i) => recordOf(prefix, i).key)
    for (let i = 0; i < keys.length; i += perTransaction)
      await this.etcd
        .if(prefix, 'Version', '>', -1)
        .then(...keys.slice(i, i + perTransaction).map((key) => this.etcd.delete().key(key)))
        .commit()
  }

  /** A host that has never run an agent: no device, no state, no record. */
  async forget(host: Host): Promise<void> {
    await host.agent?.kill('SIGKILL')
    await host.exec('ip', 'link', 'del', 'tweed.1').catch(() => '')
    await rm(host.paths.stateDir, { recursive: true, force: true })
    await rm(host.paths.runDir, { recursive: true, force: true })
    await rm(host.paths.subnetFile, { force: true })
    await this.etcd.delete().prefix(`${prefix}/subnets/10.250.`)
  }
}
