import { readFile } from 'node:fs/promises'

const ticksPerSecond = 100 // USER_HZ, what /proc counts in on every architecture that Node runs on

/** CPU time that a process has used, in milliseconds, with its threads. */
export const cpuMillis = async (pid: number): Promise<number> => {
  const stat = await readFile(`/proc/${pid}/stat`, 'utf8')
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ') // the name may hold anything; proc(5)
  return ((Number(fields[11]) + Number(fields[12])) * 1000) / ticksPerSecond // utime, stime
}

/** Share of one core that each process uses during that time. */
export const cpuShares = async (pids: readonly number[], forMs: number): Promise<readonly number[]> => {
  const read = () => Promise.all(pids.map(cpuMillis))
  const before = await read()
  const start = performance.now()
  await new Promise((resolve) => setTimeout(resolve, forMs)) // the rate is what is asked about
  const after = await read()
  const elapsedMs = performance.now() - start
  return after.map((ms, i) => (ms - (before[i] ?? 0)) / elapsedMs)
}

/** Resident memory in bytes. */
export const residentBytes = async (pid: number): Promise<number> => {
  const status = await readFile(`/proc/${pid}/status`, 'utf8')
  return Number(/^VmRSS:\s+(\d+) kB$/m.exec(status)?.[1] ?? 0) * 1024
}
