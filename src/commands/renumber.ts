import type { Invocation } from '../cli/program.ts'
import { printRenumbering } from '../cli/status.ts'
import { askControl, socketPath } from '../adapters/host/control.ts'
import type { Renumbering } from '../core/status.ts'
import { settingsOf } from './settings.ts'

const patienceMs = 60_000

/** Asks the agent of this host to adopt the announced network, and waits until it has. */
export const renumber = async (invocation: Invocation): Promise<number> => {
  const socket = socketPath(settingsOf(invocation)['run-dir'])
  const answer = (await ask(socket)) as Renumbering
  const text = invocation.json ? JSON.stringify(answer, undefined, 2) : printRenumbering(answer)
  process.stdout.write(`${text}\n`)
  return 0
}

async function ask(socket: string): Promise<unknown> {
  try {
    return await askControl(socket, 'POST', '/renumber', patienceMs)
  } catch (error) {
    const code = String((error as NodeJS.ErrnoException).code)
    if (['ENOENT', 'ECONNREFUSED', 'EACCES'].includes(code))
      throw new Error(
        `no agent answers on ${socket} (${(error as Error).message}); is it running, with this --run-dir?`,
        { cause: error },
      )
    throw new Error(
      `not renumbered yet (${(error as Error).message}): the agent goes on trying, and tweed status says what is in the way`,
      { cause: error },
    )
  }
}
