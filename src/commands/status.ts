import type { Invocation } from '../cli/program.ts'
import { printPeers, printStatus } from '../cli/status.ts'
import { askControl, socketPath } from '../adapters/host/control.ts'
import { printMetrics } from '../core/metrics.ts'
import type { AgentStatus, PeerStatus } from '../core/status.ts'
import { settingsOf } from './settings.ts'

/** 0 ready or degraded, 3 down, 1 nobody answers. */
export const status = async (invocation: Invocation): Promise<number> => {
  const answer = (await ask(invocation, '/status')) as AgentStatus
  print(answer, invocation.json, printStatus)
  return answer.health.state === 'down' ? 3 : 0
}

export const metrics = async (invocation: Invocation): Promise<number> => {
  print((await ask(invocation, '/status')) as AgentStatus, false, printMetrics)
  return 0
}

export const peers = async (invocation: Invocation): Promise<number> => {
  print((await ask(invocation, '/peers')) as readonly PeerStatus[], invocation.json, printPeers)
  return 0
}

const print = <T>(value: T, json: boolean, forPeople: (value: T) => string): void => {
  process.stdout.write(`${json ? JSON.stringify(value, undefined, 2) : forPeople(value)}\n`)
}

async function ask(invocation: Invocation, path: string): Promise<unknown> {
  const socket = socketPath(settingsOf(invocation)['run-dir'])
  try {
    return await askControl(socket, 'GET', path)
  } catch (error) {
    throw new Error(
      `no agent answers on ${socket} (${(error as Error).message}); is it running, with this --run-dir?`,
    )
  }
}
