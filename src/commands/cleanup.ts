import { rm, rmdir } from 'node:fs/promises'
import { firstValueFrom, lastValueFrom } from 'rxjs'
import type { Invocation } from '../cli/program.ts'
import { isAnswered, socketPath } from '../adapters/host/control.ts'
import type { Settings } from '../config/settings.ts'
import { routeProtocol } from '../core/kernel/notation.ts'
import type { World } from '../streams/world.ts'
import { settingsOf } from './settings.ts'
import { openKernelAndHost } from './world.ts'

/** Removes device, rows, routes and files of ours, and nothing else. */
export const cleanup = async (invocation: Invocation): Promise<number> => {
  const s = settingsOf(invocation)
  const socket = socketPath(s['run-dir'])
  const running = await isAnswered(socket)
  if (running) throw new Error(`an agent answers on ${socket}: stop it first, or use tweed leave`)
  const { it: world, close } = await openKernelAndHost(s)
  try {
    await cleanHost(world, s)
  } finally {
    close()
  }
  return 0
}

/** Our devices are told by their mark, so that a lost state file hides none. */
export const cleanHost = async (
  { kernel, host }: Pick<World, 'kernel' | 'host'>,
  s: Settings,
): Promise<void> => {
  const { links } = await firstValueFrom(kernel.interfaces$())
  const marked = links.filter((link) => link.vxlan && link.alias === 'tweed').map((link) => link.name)
  const names = s.device === undefined ? marked : marked.filter((name) => name === s.device)
  for (const name of names.length > 0 ? names : [''])
    await lastValueFrom(kernel.removeAll$(name), { defaultValue: undefined })
  say(
    names.length > 0
      ? `removed ${names.join(', ')} with its rows, and the routes of protocol ${routeProtocol}`
      : 'found no device of tweed',
  )
  await lastValueFrom(host.forget$(), { defaultValue: undefined })
  say(`removed the state in ${s['state-dir']} and ${s['subnet-file']}`)
  await rm(socketPath(s['run-dir']), { force: true })
  for (const dir of [s['state-dir'], s['run-dir']]) await rmdir(dir).catch(() => undefined) // somebody else's files stay
}

const say = (line: string): void => {
  process.stdout.write(`${line}\n`)
}
