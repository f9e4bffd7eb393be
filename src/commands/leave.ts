import { lastValueFrom, firstValueFrom } from 'rxjs'
import type { Invocation } from '../cli/program.ts'
import { askControl, isAnswered, socketPath } from '../adapters/host/control.ts'
import type { Settings } from '../config/settings.ts'
import { leave$, type Leaver } from '../streams/leave.ts'
import type { World } from '../streams/world.ts'
import { cleanHost } from './cleanup.ts'
import { settingsOf } from './settings.ts'
import { openWorld } from './world.ts'

/**
 * Gives the subnet back and removes what is ours: etcd first, while we still know who we are. Who leaves is what the
 * running agent says, or else the disk, which may be older where it can't be written.
 */
export const leaveHost = async (world: World, s: Settings, running?: Leaver): Promise<void> => {
  const leaver = running ?? (await firstValueFrom(world.host.load$()))
  const key = leaver && (await lastValueFrom(leave$(world.store, leaver), { defaultValue: undefined }))
  process.stdout.write(key === undefined ? 'held no subnet in etcd\n' : `gave back subnet ${key}\n`)
  await cleanHost(world, s)
}

/** A running agent leaves by itself and ends; without one this process does it. */
export const leave = async (invocation: Invocation): Promise<number> => {
  const s = settingsOf(invocation)
  const socket = socketPath(s['run-dir'])
  if (await leftByAgent(socket)) return waitForEnd(socket)
  const { it: world, close } = await openWorld(s)
  try {
    await leaveHost(world, s)
  } finally {
    close()
  }
  return 0
}

const patienceMs = 30_000

/** False where no agent listens; an agent that can't leave is an error, and not to be left beside. */
const leftByAgent = async (socket: string): Promise<boolean> => {
  try {
    await askControl(socket, 'POST', '/leave', patienceMs)
    return true
  } catch (error) {
    if (['ENOENT', 'ECONNREFUSED'].includes(String((error as NodeJS.ErrnoException).code))) return false
    throw error
  }
}

async function waitForEnd(socket: string): Promise<number> {
  const until = performance.now() + patienceMs
  while (performance.now() < until) {
    if (!(await isAnswered(socket))) return 0
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
  throw new Error(
    `the agent took the order to leave and is still running after ${String(patienceMs / 1000)} s; see its log`,
  )
}
