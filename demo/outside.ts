import { type ChildProcess, spawn } from 'node:child_process'
import { readFileSync } from 'node:fs'

/** Process 1 of the enclosure, by the number that it has outside. */
const firstInside = ({ pid = 0 }: ChildProcess): number =>
  Number(readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim().split(' ')[0])

/**
 * Runs the demo in its enclosure and passes its exit code on. The inner process asks for the number by which
 * the enclosure is known outside, which it can't see itself.
 */
export const fromOutside = ([program, ...args]: [string, ...string[]], env: NodeJS.ProcessEnv) => {
  const child = spawn(program, args, { env, stdio: ['inherit', 'inherit', 'inherit', 'ipc'] })
  child.on('message', () => child.send(firstInside(child)))
  // A terminal sends Ctrl-C to both; the inner one cleans up and ends, and then so do we.
  process.on('SIGINT', () => undefined)
  // Ending `unshare` ends everything inside it.
  for (const signal of ['SIGTERM', 'SIGHUP'] as const) process.on(signal, () => child.kill('SIGKILL'))
  return new Promise<number>((resolve) => {
    child.on('error', (error) => {
      console.error(error.message)
      resolve(1)
    })
    child.on('exit', (code) => resolve(code ?? 1))
  })
}

/** Inside: how the enclosure is entered from another terminal. */
export const wayIn = async (): Promise<string> => {
  const pid = await new Promise<unknown>((resolve) => {
    process.once('message', resolve)
    process.send?.('where am I?')
  })
  const isMapped = !/^\s*0\s+0\s+4294967295\s*$/.test(readFileSync('/proc/self/uid_map', 'utf8'))
  const user = isMapped ? ' --user --preserve-credentials' : ''
  return `nsenter --target ${String(pid)}${user} --net --mount --pid`
}
