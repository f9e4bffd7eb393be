import { readdir, readFile, writeFile } from 'node:fs/promises'
import type { Family } from '../../core/net/ip.ts'
import { codeOf } from './files.ts'

const switches = { 4: '/proc/sys/net/ipv4/ip_forward', 6: '/proc/sys/net/ipv6/conf/all/forwarding' } as const
const ipv6Interfaces = '/proc/sys/net/ipv6/conf'

/** Needs CAP_NET_ADMIN only (net/core/sysctl_net: net_ctl_permissions); a read-only /proc/sys is told, not fatal. */
export const forward = async (family: Family): Promise<boolean> => {
  const path = switches[family]
  try {
    if ((await read(path)) === '1') return true
    if (family === 6) await keepAdvertisedRoutes()
    await writeFile(path, '1')
    return true
  } catch {
    return false
  }
}

/**
 * A host that forwards IPv6 takes no router advertisements, and the kernel drops the default routes that came by
 * them (ndisc.c, route.c: rt6_purge_dflt_routers), unless `accept_ra` is 2: then all stays as it was.
 */
async function keepAdvertisedRoutes(): Promise<void> {
  for (const name of await readdir(ipv6Interfaces)) if (name !== 'all') await keepAdvertisedRoutesOf(name)
}

async function keepAdvertisedRoutesOf(name: string): Promise<void> {
  const path = `${ipv6Interfaces}/${name}/accept_ra`
  try {
    if ((await read(path)) === '1') await writeFile(path, '2')
  } catch (error) {
    if (codeOf(error) !== 'ENOENT') throw error // interfaces go with their containers
  }
}

const read = async (path: string): Promise<string> => (await readFile(path, 'utf8')).trim()
