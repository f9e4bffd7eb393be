import { readFile, writeFile } from 'node:fs/promises'
import { yardstick } from './yardstick.ts'

/** rtnetlink.h: whatever changes something. */
const writes: Readonly<Record<number, string>> = {
  16: 'RTM_NEWLINK',
  17: 'RTM_DELLINK',
  19: 'RTM_SETLINK',
  20: 'RTM_NEWADDR',
  21: 'RTM_DELADDR',
  24: 'RTM_NEWROUTE',
  25: 'RTM_DELROUTE',
  28: 'RTM_NEWNEIGH',
  29: 'RTM_DELNEIGH',
  67: 'RTM_SETNEIGHTBL',
}

const file = '/run/tweed-writes'

/** Runs `start` so that a process started in it counts what it asks of the kernel. */
export const countingWrites = async <T>(start: () => Promise<T>): Promise<T> => {
  await writeFile(file, Buffer.alloc(65_536 * 8))
  Object.assign(process.env, { LD_PRELOAD: await yardstick('count-writes.so'), TWEED_COUNT_WRITES: file })
  try {
    return await start()
  } finally {
    delete process.env['LD_PRELOAD']
    delete process.env['TWEED_COUNT_WRITES']
  }
}

/** What it has asked for up to now, by name; messages that change nothing count too. */
export const writesCounted = async (): Promise<ReadonlyMap<string, number>> => {
  const counters = await readFile(file)
  return new Map(
    Object.entries(writes).flatMap(([type, name]) => {
      const count = Number(counters.readBigUInt64LE(Number(type) * 8))
      return count > 0 ? [[name, count] as const] : []
    }),
  )
}
