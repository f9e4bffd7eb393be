import { rm, rmdir } from 'node:fs/promises'
import { firstValueFrom, lastValueFrom } from 'rxjs'
import type { Invocation } from '../cli/program.ts'
import { isAnswered, socketPath } from '../adapters/host/control.ts'
import type { Settings } from '../config/settings.ts'
import { routeProtocol } from '../core/kernel/notation.ts'
import type { Ip } from '../core/net/ip.ts'
import { deviceName6 } from '../core/overlay/vxlan-spec.ts'
import { previousSubnets } from '../core/overlay/subnet-env.ts'
import { printSubnetKey } from '../core/overlay/subnet-key.ts'
import type { World } from '../streams/world.ts'
import { settingsOf } from './settings.ts'
import { clearFilter$ } from '../streams/packet-filter.ts'
import { type LocalWorld, openKernelAndHost } from './world.ts'

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
export const cleanHost = async ({ kernel, host, filter }: LocalWorld, s: Settings): Promise<void> => {
  const { links, addresses } = await firstValueFrom(kernel.interfaces$())
  const marked = links.filter((link) => link.vxlan && link.alias === 'tweed')
  const { device } = s
  const ours =
    device === undefined
      ? marked
      : marked.filter(({ name }) => name === device || name === deviceName6(device))
  const names = ours.map(({ name }) => name)
  const held = addresses
    .filter(({ link }) => ours.some(({ index }) => index === link))
    .map((a) => a.address.address)
  const isOurs = await wroteSubnetEnv(host, held)
  for (const name of names.length > 0 ? names : ['']) await lastValueFrom(kernel.removeAll$(name), nothing)
  say(
    names.length > 0
      ? `removed ${names.join(', ')} with its rows, and the routes of protocol ${routeProtocol}`
      : 'found no device of tweed',
  )
  const filtered = await lastValueFrom(clearFilter$(filter))
  if (filtered > 0) say('removed the table inet tweed and our rules in forward chains')
  await lastValueFrom(host.forget$(), nothing)
  if (isOurs) await lastValueFrom(host.removeSubnetEnv$(), nothing)
  say(`removed the state in ${s['state-dir']}${isOurs ? ` and ${s['subnet-file']}` : ''}`)
  await rm(socketPath(s['run-dir']), { force: true })
  for (const dir of [s['state-dir'], s['run-dir']]) await rmdir(dir).catch(() => undefined) // somebody else's files stay
}

const nothing = { defaultValue: undefined }

/** flannel writes the same file: it is ours if it names the subnet of our state, or of our device. */
const wroteSubnetEnv = async (host: World['host'], held: readonly Ip[]): Promise<boolean> => {
  const text = await firstValueFrom(host.readSubnetEnv$())
  const subnets = text === undefined ? undefined : previousSubnets(text)
  if (!subnets) return false
  const saved = await firstValueFrom(host.load$())
  const isHeld = [subnets.subnet, subnets.subnet6].some((subnet) => subnet && held.includes(subnet.address))
  return isHeld || saved?.lease.key === printSubnetKey(subnets)
}

const say = (line: string): void => {
  process.stdout.write(`${line}\n`)
}
