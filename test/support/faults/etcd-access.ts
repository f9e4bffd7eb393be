import { Etcd3, type IKeyValue, type IOptions } from 'etcd3'
import { noop } from 'cockatiel'

/** Agents are given longer; here the next member is asked soon. */
const deadlineMs = 1000

export interface EtcdAccessOptions extends Partial<IOptions> {
  readonly patienceMs?: number
}

let generations = 0

/**
 * etcd as the experimenter sees it: from a machine that no fault of the laboratory concerns, asking one member
 * after the other until one answers. Carries out a request twice where an answer is lost.
 */
export class EtcdAccess {
  readonly #urls: readonly string[]
  readonly #options: Partial<IOptions>
  #client: Etcd3
  #member = 0
  readonly #patienceMs: number

  /** After `patienceMs` without an answer the last error is told. */
  constructor(urls: readonly string[], { patienceMs = 30_000, ...options }: EtcdAccessOptions = {}) {
    this.#urls = urls
    this.#patienceMs = patienceMs
    this.#options = options
    this.#client = this.#open()
  }

  async put(key: string, value: string, leaseId = '0'): Promise<void> {
    await this.ask(({ kv }) => kv.put({ key: Buffer.from(key), value: Buffer.from(value), lease: leaseId }))
  }

  /** Many keys in few transactions; etcd allows 128 operations in one. */
  async putAll(entries: readonly (readonly [key: string, value: string])[]): Promise<void> {
    for (let i = 0; i < entries.length; i += 128) {
      const success = entries.slice(i, i + 128).map(([key, value]) => ({
        request_put: { key: Buffer.from(key), value: Buffer.from(value) },
      }))
      await this.ask(({ kv }) => kv.txn({ compare: [], success, failure: [] }))
    }
  }

  async delete(key: string): Promise<void> {
    await this.ask(({ kv }) => kv.deleteRange({ key: Buffer.from(key) }))
  }

  async get(key: string): Promise<IKeyValue | undefined> {
    return (await this.ask(({ kv }) => kv.range({ key: Buffer.from(key) }))).kvs[0]
  }

  /** Every key that begins so; read linearizably. */
  async list(prefix: string): Promise<readonly IKeyValue[]> {
    const end = Buffer.from(prefix)
    end[end.length - 1] = (end.at(-1) ?? 0) + 1
    return (await this.ask(({ kv }) => kv.range({ key: Buffer.from(prefix), range_end: end }))).kvs
  }

  /** Grows with every write, by anybody. */
  async revision(): Promise<number> {
    const { header } = await this.ask(({ kv }) => kv.range({ key: Buffer.from('no such key') }))
    return Number(header.revision)
  }

  /** Drops the history up to now. */
  async compact(): Promise<void> {
    const revision = await this.revision()
    await this.ask(({ kv }) => kv.compact({ revision: String(revision), physical: true })).catch(
      (error: unknown) => {
        if (!String(error).includes('compacted')) throw error // an earlier try has
      },
    )
  }

  async grant(ttlSeconds: number): Promise<string> {
    return (await this.ask(({ leaseClient }) => leaseClient.leaseGrant({ TTL: ttlSeconds }))).ID
  }

  async revoke(leaseId: string): Promise<void> {
    await this.ask(({ leaseClient }) => leaseClient.leaseRevoke({ ID: leaseId })).catch((error: unknown) => {
      if (!String(error).includes('lease not found')) throw error // an earlier try has
    })
  }

  /** Ids of all leases that etcd knows, decimal. */
  async leases(): Promise<readonly string[]> {
    return (await this.ask(({ leaseClient }) => leaseClient.leaseLeases())).leases.map(({ ID }) => ID)
  }

  close(): void {
    this.#client.close()
  }

  /** Asks until somebody answers; what etcd refuses, and a silence of half a minute, are errors. */
  async ask<T>(request: (clients: Clients) => Promise<T>): Promise<T> {
    const until = Date.now() + this.#patienceMs
    for (;;) {
      const client = this.#client
      try {
        return await request({ kv: client.kv, leaseClient: client.leaseClient, client })
      } catch (error) {
        const passes =
          /UNAVAILABLE|DEADLINE|CANCELLED|INTERNAL|no leader|timed out|leader changed|already closed/
        if (!passes.test(String(error)) || Date.now() >= until) throw error
        this.#nextMember(client)
        await new Promise((resolve) => setTimeout(resolve, 50))
      }
    }
  }

  #nextMember(failed: Etcd3): void {
    if (failed !== this.#client) return
    failed.close()
    this.#member++
    this.#client = this.#open()
  }

  #open(): Etcd3 {
    return new Etcd3({
      hosts: this.#urls[this.#member % this.#urls.length] ?? '',
      // Otherwise grpc-js hands back the connection that hangs (grpc-node #2785).
      grpcOptions: { 'x-experimenter': generations++, 'grpc.max_receive_message_length': 64 << 20 },
      faultHandling: { global: noop, host: () => noop },
      defaultCallOptions: () => ({ deadline: Date.now() + deadlineMs }),
      ...this.#options,
    })
  }
}

interface Clients extends Pick<Etcd3, 'kv' | 'leaseClient'> {
  readonly client: Etcd3
}
