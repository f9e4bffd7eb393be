import { execFile } from 'node:child_process'
import { defer, type Observable } from 'rxjs'
import { isForwardChain } from '../../core/filter/forward.ts'
import { ownTable } from '../../core/filter/masquerade.ts'
import type { NftCommand, NftObject, NftTable } from '../../core/filter/nftables.ts'
import type { FilterChange, PacketFilter } from '../../ports/packet-filter.ts'
import { environment } from './environment.ts'
import { faultOf } from './faults.ts'
import { readLegacy } from './legacy.ts'

/** The nftables of the network namespace that this process is in, through the program `nft`. */
export const openPacketFilter = (changes$: Observable<FilterChange>): PacketFilter => ({
  changes$,
  read$: () => defer(read),
  readLegacy$: () => defer(readLegacy),
  apply$: (commands) =>
    defer(async () => {
      await nft(commands)
    }),
})

/** First what there is, then only the tables that matter: others may hold ten thousand rules. */
async function read(): Promise<readonly NftObject[]> {
  const all = await nft([{ list: { tables: null } }, { list: { chains: null } }])
  const wanted = new Map<string, NftTable>()
  const want = (family: string, name: string): void => {
    wanted.set(`${family} ${name}`, { family, name })
  }
  for (const { table, chain } of all) {
    if (table?.family === ownTable.family && table.name === ownTable.name) want(table.family, table.name)
    if (chain && isForwardChain(chain)) want(chain.family, chain.table)
  }
  // One run each: nft 1.0.6 knows only the last table that it was asked for (its cache is filtered by it).
  const listings = await Promise.all([...wanted.values()].map((table) => nft([{ list: { table } }])))
  return listings.flat()
}

type Request = NftCommand | { readonly list: Readonly<Record<string, unknown>> }

const timeoutMs = 10_000
const mostBytes = 256 << 20

/** One run of `nft -j`, which is one transaction. Each `list` prints a JSON object on a line of its own. */
const nft = (requests: readonly Request[]): Promise<readonly NftObject[]> =>
  new Promise((resolve, reject) => {
    const options = { env: environment(), timeout: timeoutMs, maxBuffer: mostBytes }
    // As an argument: nft opens /dev/stdin by name, and that fails for the socket which Node makes a child's input.
    execFile('nft', ['-j', JSON.stringify({ nftables: requests })], options, (error, stdout, stderr) => {
      if (error) reject(asError(faultOf({ ...error, stderr: stderr || error.message })))
      else resolve(stdout.split('\n').flatMap(objectsOf))
    })
  })

const objectsOf = (line: string): readonly NftObject[] =>
  line === '' ? [] : (JSON.parse(line) as { readonly nftables: readonly NftObject[] }).nftables

// A Fault is a value that travels in the error channel; a promise wants an error.
const asError = <T extends object>(fault: T): Error & T => Object.assign(new Error('nft'), fault)
