import type { Host } from '../host.ts'
import type { FaultLab } from './fault-lab.ts'
import type { Member } from './member.ts'

export interface RandomFault {
  readonly name: string
  /** Resolves when it has done its harm; what it leaves behind is healed at the end of the round. */
  readonly happen: (random: () => number) => Promise<void>
}

export const draw = (random: () => number, below: number): number => Math.floor(random() * below)

/** How long a fault is let be, in milliseconds. */
const shortMs = 3000
const longMs = 12_000
const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms))

/** What can happen in a random sequence; none of it may cost a packet or a subnet. */
export const randomFaults = (lab: FaultLab): readonly RandomFault[] => {
  const member = (random: () => number): Member => pick(lab.members, random)
  const host = (random: () => number): Host => pick(lab.hosts, random)
  const toOne = (name: string, work: (member: Member) => Promise<void> | void, ms = longMs): RandomFault => ({
    name,
    happen: async (random) => {
      await work(member(random))
      await pause(ms * random())
    },
  })
  const toAll = (name: string, work: (member: Member) => Promise<void> | void): RandomFault => ({
    name,
    happen: async (random) => {
      await lab.all(async (each) => work(each))
      await pause(shortMs + longMs * random())
      await lab.heal()
    },
  })
  return [
    toOne('kill a member', (each) => each.kill(), shortMs),
    toOne('pause a member', (each) => each.pause()),
    toOne('blackhole a member', (each) => each.blackhole()),
    toOne('refuse at a member', (each) => each.refuse(), shortMs),
    toOne('partition a member', (each) => each.partition()),
    toAll('refuse everywhere', (each) => each.refuse()),
    toAll('blackhole everywhere', (each) => each.blackhole()),
    toAll('pause all', (each) => each.pause()),
    toAll('kill all', (each) => each.kill()),
    { name: 'heal', happen: () => lab.heal() },
    {
      name: 'burst and compact',
      happen: async () => {
        await lab.heal()
        await lab.churn.burst(1000)
        await lab.etcd.compact()
      },
    },
    {
      name: 'wipe',
      happen: async () => {
        await lab.heal()
        await lab.wipe()
        await lab.putConfig()
        await lab.churn.fill()
        await lab.learns(lab.host(1))
      },
    },
    {
      name: 'backup, burst, restore',
      happen: async () => {
        await lab.heal()
        const backup = await lab.backup()
        await lab.churn.burst(400)
        await lab.restore(backup)
        await lab.learns(lab.host(1))
      },
    },
    {
      name: 'revoke a lease',
      happen: async (random) => {
        await lab.heal()
        const lease = (await lab.etcd.get(await lab.keyOf(host(random))))?.lease
        if (lease !== undefined && lease !== '0') await lab.etcd.revoke(lease)
      },
    },
    {
      name: 'kill an agent',
      happen: async (random) => {
        await lab.heal()
        await lab.restart(host(random), [], 'SIGKILL')
      },
    },
    {
      name: 'stop an agent for a while',
      happen: async (random) => {
        const { agent } = host(random)
        agent?.signal('SIGSTOP')
        await pause(longMs * random())
        agent?.signal('SIGCONT')
      },
    },
  ]
}

const pick = <T>(from: readonly T[], random: () => number): T => {
  const found = from[draw(random, from.length)]
  if (found === undefined) throw new RangeError('nothing to choose from')
  return found
}
