import { prefix } from '../lab.ts'
import { recordOf, subnetKey } from '../overlay.ts'
import type { EtcdAccess } from './etcd-access.ts'

/** Fake peers: 10.5.101.0/24 to 10.5.160.0/24. */
export const fakes = 60
/** So few are away at a time that no agent takes it for a mass departure (30 %). */
const mostAway = 12
const periodMs = 20 // about 50 writes a second

const numbers = Array.from({ length: fakes }, (_, i) => i + 1)
const keyPrefix = `${prefix}/subnets/`

export const fakeKey = (number: number): string => subnetKey(`10.5.${100 + number}.0/24`)

/** Versions of a fake peer differ in public address and MAC, alone or together. */
export const fakeRecord = (number: number, version: number): string =>
  recordOf(number, {
    publicIp: `${version & 1 ? '203.0.113' : '198.51.100'}.${number}`,
    mac: `02:00:5e:00:0${(version >> 1) & 1}:${number.toString(16).padStart(2, '0')}`,
  })

/** A writer that puts, changes and deletes fake peers without a pause, for as long as it runs. */
export class Churn {
  readonly #etcd: EtcdAccess
  readonly #random: () => number
  readonly #away = new Set<number>()
  #writes = 0
  #running: Promise<void> | undefined
  #stop = false

  constructor(etcd: EtcdAccess, random: () => number) {
    this.#etcd = etcd
    this.#random = random
  }

  get writes(): number {
    return this.#writes
  }

  /** Puts every fake peer, in any version. */
  async fill(): Promise<void> {
    this.#away.clear()
    await this.#etcd.putAll(numbers.map((number) => this.#entry(number)))
  }

  start(): void {
    this.#stop = false
    this.#running ??= this.#run()
  }

  /** Ends the writing, and puts whoever is away, so that nobody is held for long. */
  async stop(): Promise<void> {
    this.#stop = true
    await this.#running
    this.#running = undefined
    this.#away.clear()
    // etcd is asked: a delete that was given up may have been carried out, even after the put that followed it.
    const present = new Set((await this.#etcd.list(keyPrefix)).map(({ key }) => key.toString()))
    const absent = numbers.filter((number) => !present.has(fakeKey(number)))
    await this.#etcd.putAll(absent.map((number) => this.#entry(number)))
  }

  /** `count` writes as fast as etcd takes them, of twenty writers with three fake peers each. */
  async burst(count: number): Promise<void> {
    const writer = async (own: number): Promise<void> => {
      for (let i = 0; i < count / 20; i++) {
        const number = 1 + own + 20 * (i % 3)
        if (i % 3 === 0 && own < mostAway) await this.#etcd.delete(fakeKey(number))
        await this.#etcd.put(fakeKey(number), fakeRecord(number, this.#draw(4)))
      }
    }
    await Promise.all(Array.from({ length: 20 }, (_, own) => writer(own)))
  }

  async #run(): Promise<void> {
    while (!this.#stop) {
      const pause = new Promise((resolve) => setTimeout(resolve, periodMs))
      // etcd may be away for longer than the experimenter's patience, or refuse: that is what is being tested.
      await this.#write().catch(() => undefined)
      await pause
    }
  }

  async #write(): Promise<void> {
    const number = 1 + this.#draw(fakes)
    this.#writes++
    if (this.#draw(3) === 0 && this.#away.size < mostAway) {
      this.#away.add(number)
      await this.#etcd.delete(fakeKey(number))
      return
    }
    const [longest = number] = this.#away
    const who = this.#draw(2) === 0 ? longest : number
    this.#away.delete(who)
    await this.#etcd.put(fakeKey(who), fakeRecord(who, this.#draw(4)))
  }

  #entry(number: number): readonly [key: string, value: string] {
    return [fakeKey(number), fakeRecord(number, this.#draw(4))]
  }

  #draw(below: number): number {
    return Math.floor(this.#random() * below)
  }
}
