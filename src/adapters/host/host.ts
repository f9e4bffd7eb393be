import { readFileSync } from 'node:fs'
import { uptime } from 'node:os'
import { join } from 'node:path'
import { defer, map, type Observable } from 'rxjs'
import { sameRecords } from '../../core/overlay/kept-records.ts'
import type { StoredRecord } from '../../core/overlay/record.ts'
import type { Host, SavedState } from '../../ports/host.ts'
import { readChecksumErrors } from './checksums.ts'
import { InTurn, readText, remove, writeAtomically } from './files.ts'
import { forward } from './forwarding.ts'
import { nodeId, vtepMac } from './identity.ts'
import { notifier, type SendUnixDatagram } from './notify.ts'
import { parsePeers, parseState, printPeers } from './saved.ts'

export interface HostOptions {
  readonly stateDir: string
  readonly subnetFile: string
  readonly sendUnixDatagram: SendUnixDatagram
}

/** The files and switches of this machine. */
export const openHost = ({ stateDir, subnetFile, sendUnixDatagram }: HostOptions): Host => {
  const stateFile = join(stateDir, 'state.json')
  const peersFile = join(stateDir, 'peers.json')
  const files = new InTurn()
  const writeIfChanged$ = (path: string, text: string): Observable<void> =>
    defer(() =>
      files.run(async () => {
        if ((await readText(path)) !== text) await writeAtomically(path, text)
      }),
    )
  let peersOnDisk: readonly StoredRecord[] | undefined
  const savePeers = async (records: readonly StoredRecord[]): Promise<void> => {
    if (peersOnDisk && sameRecords(peersOnDisk, records)) return
    await writeAtomically(peersFile, printPeers(records))
    peersOnDisk = records
  }
  const readSubnetEnv$ = (): Observable<string | undefined> => defer(() => readText(subnetFile))
  return {
    load$: () => defer(() => readText(stateFile)).pipe(map(parseState)),
    save$: (state: SavedState) => writeIfChanged$(stateFile, `${JSON.stringify(state, undefined, 2)}\n`),
    loadPeers$: () =>
      defer(() => readText(peersFile)).pipe(
        map((text) => (peersOnDisk = text === undefined ? undefined : parsePeers(text)) ?? []),
      ),
    savePeers$: (records: readonly StoredRecord[]) => defer(() => files.run(() => savePeers(records))),
    forget$: () =>
      defer(() =>
        files.run(async () => {
          peersOnDisk = undefined
          await Promise.all([remove(stateFile), remove(peersFile)])
        }),
      ),
    removeSubnetEnv$: () => defer(() => files.run(() => remove(subnetFile))),
    readSubnetEnv$,
    writeSubnetEnv$: (text) => writeIfChanged$(subnetFile, text),
    nodeId,
    vtepMac,
    forward$: (family) => defer(() => forward(family)),
    checksumErrors$: () => defer(readChecksumErrors),
    processName,
    uptimeMs: () => uptime() * 1000,
    notify: notifier(sendUnixDatagram),
  }
}

/** Read at once: a program like `ip` is gone a moment later. */
function processName(pid: number): string | undefined {
  try {
    return readFileSync(`/proc/${String(pid)}/comm`, 'utf8').trim()
  } catch {
    return undefined
  }
}
