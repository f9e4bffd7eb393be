import { Lab } from '../test/support/lab.ts'
import type { Container } from '../test/support/container.ts'
import type { Host } from '../test/support/host.ts'
import { brokenPromises, say, title } from './show.ts'
import { keepStanding } from './keep.ts'
import { leases, start, tables } from './scenes/hosts.ts'
import { misses, watchingMisses } from './scenes/misses.ts'
import { traffic } from './scenes/traffic.ts'
import { manyContainers } from './scenes/containers.ts'
import { death } from './scenes/death.ts'

/** What every scene plays on. */
export interface Stage {
  readonly lab: Lab
  readonly places: readonly Place[]
}
/** A container and the host that it runs on, under the name that it is shown by: `h1/a`. */
export interface Place {
  readonly name: string
  readonly host: Host
  readonly container: Container
}

const interrupted = (): Promise<'interrupted'> =>
  new Promise((resolve) => {
    for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => resolve('interrupted'))
  })

const play = async (lab: Lab): Promise<void> => {
  const stage = await start(lab)
  await leases(lab)
  const { result: pairs, answered } = await watchingMisses(stage, () => traffic(stage))
  await misses(stage, pairs, answered)
  await tables(lab.host(1))
  await manyContainers(stage)
  await death(stage)
}

/** The whole demo; returns its exit code. Cleans up however it ends. */
export const tell = async ({ keep }: { readonly keep: boolean }): Promise<number> => {
  const stop = interrupted()
  title('tweed: containers on three hosts, joined by VXLAN, with etcd as the only thing they share')
  say('Everything happens in namespaces of its own; this machine keeps its network as it is.')
  let lab: Lab | undefined
  try {
    lab = await Lab.create({ hosts: 3, agentFlags: ['--resolve', 'on-miss', '--log-level', 'debug'] })
    const ending = await Promise.race([play(lab), stop])
    if (ending === 'interrupted') {
      say('\n\nInterrupted.')
      return 130
    }
    verdict()
    if (keep) await keepStanding(lab, stop)
    return brokenPromises().length === 0 ? 0 : 1
  } catch (error) {
    say(`\n✘ The demo stopped: ${error instanceof Error ? error.message : String(error)}`)
    return 1
  } finally {
    await lab?.destroy()
    say('\nCleaned up: processes, namespaces and files are gone.')
  }
}

const verdict = (): void => {
  const broken = brokenPromises()
  title(broken.length === 0 ? 'Everything held that was promised.' : 'Not everything held:')
  for (const what of broken) say(`✘ ${what}`)
}
