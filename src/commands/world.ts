import { readFileSync } from 'node:fs'
import { createSecureContext } from 'node:tls'
import { SettingError } from '../config/load.ts'
import type { Settings } from '../config/settings.ts'
import { concatMap, NEVER } from 'rxjs'
import { contentChanges$ } from '../adapters/host/files.ts'
import { systemClock } from '../adapters/host/clock.ts'
import { openHost } from '../adapters/host/host.ts'
import { openPacketFilter } from '../adapters/nftables/packet-filter.ts'
import type { World } from '../streams/world.ts'

/** Opens what a command needs of the world; `close` lets the process end. */
export interface Opened<T> {
  readonly it: T
  readonly close: () => void
}

export const openStore = async (s: Settings) => {
  const files = [s['etcd-cafile'], s['etcd-certfile'], s['etcd-keyfile']].filter((file) => file !== undefined)
  const clear = s['etcd-endpoints'].find((url) => url.startsWith('http://'))
  if (files.length > 0 && clear !== undefined)
    throw new SettingError(
      `--etcd-endpoints has ${clear}, which is clear text, but certificates are given: write https://`,
    )
  const { openLeaseStore } = await import('../adapters/etcd/store.ts')
  return openLeaseStore({
    endpoints: s['etcd-endpoints'],
    prefix: s['etcd-prefix'],
    tls: tlsFiles(s),
    renewals$: files.length > 0 ? certificateRenewals$(s, files) : NEVER,
    auditMs: s.audit,
    login:
      s['etcd-username'] === undefined
        ? undefined
        : { username: s['etcd-username'], password: s['etcd-password'] ?? '' },
  })
}

const certificateRenewals$ = (s: Settings, files: readonly string[]) =>
  contentChanges$(files, s['etcd-cert-reload']).pipe(
    concatMap(() => {
      try {
        return [tlsFiles(s)]
      } catch {
        return [] // they are just being replaced, one after the other; when all are there, that is a change too
      }
    }),
  )

const tlsFiles = (s: Settings) => {
  const files = {
    ca: fileIn(s, 'etcd-cafile'),
    cert: fileIn(s, 'etcd-certfile'),
    key: fileIn(s, 'etcd-keyfile'),
  }
  try {
    createSecureContext(files) // a new certificate beside the old key, for one: grpc-js would throw out of a stream
  } catch (error) {
    throw new SettingError(
      `the files of --etcd-cafile, --etcd-certfile and --etcd-keyfile can't be used: ${(error as Error).message}`,
    )
  }
  return files
}

const fileIn = (s: Settings, flag: 'etcd-cafile' | 'etcd-certfile' | 'etcd-keyfile'): Buffer | undefined => {
  const path = s[flag]
  if (path === undefined) return undefined
  try {
    return readFileSync(path)
  } catch (error) {
    throw new SettingError(`--${flag} is ${JSON.stringify(path)}: ${(error as Error).message}`)
  }
}

/** What needs no etcd. */
export type LocalWorld = Pick<World, 'kernel' | 'host' | 'filter'>

/** Kernel and files, without etcd and its three hundred milliseconds. */
export const openKernelAndHost = async (s: Settings): Promise<Opened<LocalWorld>> => {
  const [{ openKernel }, { native }, { filterChanges$ }] = await Promise.all([
    import('../adapters/netlink/kernel.ts'),
    import('../adapters/netlink/native.ts'),
    import('../adapters/netlink/filter-events.ts'),
  ])
  const kernel = openKernel()
  const host = openHost({
    stateDir: s['state-dir'],
    subnetFile: s['subnet-file'],
    sendUnixDatagram: (path, bytes) => native().sendUnixDatagram(path, bytes),
  })
  return { it: { kernel, host, filter: openPacketFilter(filterChanges$()) }, close: () => kernel.close() }
}

export const openWorld = async (s: Settings): Promise<Opened<World>> => {
  const opening = openKernelAndHost(s)
  const store = await openStore(s).catch(async (error: unknown) => {
    ;(await opening).close() // or its sockets would keep a process alive that has given up
    throw error
  })
  const { it, close } = await opening
  return {
    it: { ...it, store, clock: systemClock },
    close: () => {
      store.close()
      close()
    },
  }
}
