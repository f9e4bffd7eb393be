import { readFile, writeFile } from 'node:fs/promises'

/**
 * What an IPv6 device needs and netlink can't set: IPv6 itself, where new devices come without, and no routes from
 * router advertisements, which another host could send through the tunnel (flannel sets accept_ra too).
 */
const wanted = { disable_ipv6: '0', accept_ra: '0' } as const

/** How many had to be set. A read-only /proc/sys is no obstacle where they are right. */
export async function setIpv6Device(name: string): Promise<number> {
  let writes = 0
  for (const [key, value] of Object.entries(wanted)) {
    const path = `/proc/sys/net/ipv6/conf/${name}/${key}`
    const standing = await readFile(path, 'utf8').catch(() => undefined)
    if (standing === undefined || standing.trim() === value) continue
    // Where it matters the kernel refuses the address, and says why.
    const written = await writeFile(path, value).then(
      () => true,
      () => false,
    )
    if (written) writes++
  }
  return writes
}
