import type { Backend } from './network-config.ts'
import type { OwnIdentity } from './own.ts'
import type { LeaseRecord } from './record.ts'

/** What this host publishes about itself. */
export const ownRecord = (me: OwnIdentity, backend: Backend, leaving = false): LeaseRecord => ({
  publicIp: me.publicIp,
  publicIp6: me.publicIp6,
  backendType: backend.kind,
  vni: backend.kind === 'vxlan' ? backend.vni : undefined,
  vtepMac: backend.kind === 'vxlan' ? me.vtepMac : undefined,
  vtepMac6: backend.kind === 'vxlan' ? me.vtepMac6 : undefined,
  node: me.node,
  leaving,
})
