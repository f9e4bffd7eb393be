import { firstValueFrom } from 'rxjs'
import type { Invocation } from '../cli/program.ts'
import { plan$ } from '../streams/plan.ts'
import { askControl, socketPath } from '../adapters/host/control.ts'
import type { Settings } from '../config/settings.ts'
import type { AgentStatus } from '../core/status.ts'
import { agentSettings, loadedSettings } from './settings.ts'
import { openWorld } from './world.ts'

export const plan = async (invocation: Invocation): Promise<number> => {
  const { values: s, origins } = loadedSettings(invocation)
  const settings = agentSettings(origins.resolve === 'default' ? { ...s, resolve: await resolveInUse(s) } : s)
  const { it: world, close } = await openWorld(s)
  try {
    const lines = await firstValueFrom(plan$(world, settings))
    process.stdout.write(lines.length === 0 ? '# nothing to change\n' : `${lines.join('\n')}\n`)
  } finally {
    close()
  }
  return 0
}

/** An agent that runs here knows better than our default how it resolves. */
const resolveInUse = (s: Settings): Promise<Settings['resolve']> =>
  askControl(socketPath(s['run-dir']), 'GET', '/status').then(
    (status) => (status as AgentStatus).resolve,
    () => s.resolve,
  )
