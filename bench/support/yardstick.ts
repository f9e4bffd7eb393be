import { mkdtempSync } from 'node:fs'
import { join } from 'node:path'
import { output } from '../../test/support/process.ts'

const sources = new URL('../yardsticks/', import.meta.url).pathname
/** In the enclosure's own tmpfs, with which it goes. */
const folder = mkdtempSync('/run/tweed-yardsticks-')
const compiled = new Map<string, Promise<string>>()

/** Path of a C program of bench/yardsticks, compiled when it is first asked for. */
export const yardstick = (name: string): Promise<string> => {
  const known = compiled.get(name)
  if (known) return known
  const target = join(folder, name)
  const flags = name.endsWith('.so') ? ['-shared', '-fPIC'] : []
  const source = join(sources, `${name.replace(/\.so$/, '')}.c`)
  const made = output(['cc', '-O2', ...flags, '-o', target, source]).then(() => target)
  compiled.set(name, made)
  return made
}
