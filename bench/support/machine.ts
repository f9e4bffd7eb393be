import { readFileSync, writeFileSync } from 'node:fs'
import { cpus, loadavg, release, totalmem } from 'node:os'

/** What a figure has to be read with. */
export interface Machine {
  readonly cpu: string
  readonly cores: number
  readonly memoryMiB: number
  readonly kernel: string
  readonly node: string
  /** Of the last minute, as the bench starts: above the number of cores, figures are noise and ratios little better. */
  readonly load: number
}

export const machine = (): Machine => ({
  cpu: cpus()[0]?.model ?? '',
  cores: cpus().length,
  memoryMiB: Math.round(totalmem() / 2 ** 20),
  kernel: release(),
  node: process.version,
  load: loadavg()[0] ?? 0,
})

/** Outside of the enclosure: network namespaces but the first don't show it. */
const boundFile = '/proc/sys/net/ipv4/neigh/default/gc_thresh3'
const boundVariable = 'TWEED_GC_THRESH3'

/** How many neighbours may be unresolved at once, in all namespaces together. */
export const neighbourBound = (): string => process.env[boundVariable] ?? 'unknown'

/** Runs `work` with another bound, of the whole machine, and puts the old one back. */
export const withNeighbourBound = <T>(wanted: string, work: () => T): T => {
  const before = readFileSync(boundFile, 'utf8').trim()
  // Without a listener Ctrl-C would end this process before it has put back what it changed.
  if (wanted !== '') process.on('SIGINT', () => undefined)
  try {
    if (wanted !== '') writeFileSync(boundFile, wanted)
    process.env[boundVariable] = readFileSync(boundFile, 'utf8').trim()
    return work()
  } finally {
    if (wanted !== '') writeFileSync(boundFile, before)
  }
}

/** Resident memory of a process, in KiB. */
export const residentKiB = (pid: number): number => {
  const line = /^VmRSS:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))
  return Number(line?.[1] ?? Number.NaN)
}

/** CPU time that the threads of a process have used, in ms. */
export const cpuMs = (pid: number): number => {
  // proc(5): the name in parentheses may hold anything; utime and stime are the 14th and 15th field, in 1/100 s.
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8')
    .replace(/^.*\) /s, '')
    .split(' ')
  return (Number(fields[11]) + Number(fields[12])) * 10
}
