import { readFileSync } from 'node:fs'
import { firstValueFrom } from 'rxjs'
import type { Invocation } from '../cli/program.ts'
import { parseNetworkConfig, printNetworkConfig } from '../core/overlay/network-config.ts'
import { printComplaint } from '../core/parsed.ts'
import { adopt, nothingYet } from '../streams/network.ts'
import { settingsOf } from './settings.ts'
import { openStore } from './world.ts'

/** Nothing that an agent would refuse reaches etcd: every host of the cluster would have to live with it. */
export const networkSet = async (invocation: Invocation): Promise<number> => {
  const text = readArgument(invocation.args[0] ?? '')
  const judged = adopt(nothingYet, { value: text, modRevision: 0 }, undefined)
  if (judged.kind === 'none') {
    process.stderr.write(`tweed: ${judged.fault.message}\n`)
    return 1
  }
  const store = await openStore(settingsOf(invocation))
  try {
    await firstValueFrom(store.putConfig$(text.trim(), undefined))
  } finally {
    store.close()
  }
  return 0
}

export const networkGet = async (invocation: Invocation): Promise<number> => {
  const s = settingsOf(invocation)
  const store = await openStore(s)
  try {
    const { config } = await firstValueFrom(store.read$())
    if (!config)
      throw new Error(
        `there is no network configuration at ${s['etcd-prefix']}/config; write one with tweed network set`,
      )
    const parsed = parseNetworkConfig(config.value)
    if (parsed.kind === 'invalid') throw new Error(`${s['etcd-prefix']}/config: ${printComplaint(parsed)}`)
    process.stdout.write(`${JSON.stringify(printNetworkConfig(parsed.value), undefined, 2)}\n`)
  } finally {
    store.close()
  }
  return 0
}

const readArgument = (argument: string): string =>
  argument === '-'
    ? readFileSync(0, 'utf8')
    : argument.startsWith('@')
      ? readFileSync(argument.slice(1), 'utf8')
      : argument
