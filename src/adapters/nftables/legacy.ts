import { execFile } from 'node:child_process'
import { readFile } from 'node:fs/promises'
import { parseLegacy } from '../../core/filter/legacy.ts'
import type { NftObject } from '../../core/filter/nftables.ts'
import { environment } from './environment.ts'

const programs = [
  { family: 'ip', names: '/proc/net/ip_tables_names', program: 'iptables-legacy' },
  { family: 'ip6', names: '/proc/net/ip6_tables_names', program: 'ip6tables-legacy' },
] as const

/**
 * The filter tables of the kernel's ip_tables. Only where there are any: merely to ask for a table makes the kernel create it
 * (x_tables.c: xt_find_table_lock). Nothing where that can't be told: the names are root's to read, and the program
 * needs CAP_NET_RAW.
 */
export const readLegacy = async (): Promise<readonly NftObject[]> => {
  const listings = await Promise.all(
    programs.map(async ({ family, names, program }) => {
      const tables = await readFile(names, 'utf8').catch(() => '')
      return tables.split('\n').includes('filter') ? parseLegacy(family, await list(program)) : []
    }),
  )
  return listings.flat()
}

const timeoutMs = 10_000
const mostBytes = 64 << 20

const list = (program: string): Promise<string> =>
  new Promise((resolve) => {
    const options = { env: environment(), timeout: timeoutMs, maxBuffer: mostBytes }
    execFile(program, ['-w', '5', '-S'], options, (error, stdout) => resolve(error ? '' : stdout))
  })
