import { firstValueFrom } from 'rxjs'
import type { Invocation } from '../cli/program.ts'
import { plan$ } from '../streams/plan.ts'
import { agentSettings, settingsOf } from './settings.ts'
import { openWorld } from './world.ts'

export const plan = async (invocation: Invocation): Promise<number> => {
  const s = settingsOf(invocation)
  const { it: world, close } = await openWorld(s)
  try {
    const lines = await firstValueFrom(plan$(world, agentSettings(s)))
    process.stdout.write(lines.length === 0 ? '# nothing to change\n' : `${lines.join('\n')}\n`)
  } finally {
    close()
  }
  return 0
}
