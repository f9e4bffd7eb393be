import { createHash, randomUUID } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { Ip } from '../../core/net/ip.ts'
import { Mac } from '../../core/net/mac.ts'

/**
 * A host id from machine-id(5) and the public address: clones of one image share the first and differ in the
 * second, and a host that has lost its state finds its lease again. Never the machine-id itself, which is to
 * stay confidential.
 */
export const nodeId = (publicIp: Ip): string => {
  const machine = machineId()
  if (machine === undefined) return randomUUID()
  const hash = createHash('sha256')
    .update(`tweed node ${machine} ${Ip.print(publicIp)}`)
    .digest('hex')
  return [8, 12, 16, 20, 32].map((end, i) => hash.slice([0, 8, 12, 16, 20][i], end)).join('-')
}

export const vtepMac = (node: string, vni: number): Mac =>
  Mac.local([
    ...createHash('sha256')
      .update(`tweed vtep ${node} ${String(vni)}`)
      .digest()
      .subarray(0, 6),
  ])

function machineId(): string | undefined {
  for (const path of ['/etc/machine-id', '/var/lib/dbus/machine-id']) {
    try {
      const id = readFileSync(path, 'utf8').trim()
      if (/^[0-9a-f]{32}$/.test(id)) return id
    } catch {
      // the next one
    }
  }
  return undefined
}
