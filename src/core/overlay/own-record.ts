import type { Backend } from './network-config.ts'
import type { OwnIdentity } from './own.ts'
import type { LeaseRecord } from './record.ts'

/** What this host publishes about itself. */
export const ownRecord = ({ node, ipv4, ipv6 }: OwnIdentity, backend: Backend): LeaseRecord => ({
  publicIp: ipv4?.publicIp,
  publicIp6: ipv6?.publicIp,
  backendType: backend.kind,
  ...(backend.kind === 'vxlan'
    ? { vni: backend.vni, vtepMac: ipv4?.vtepMac, vtepMac6: ipv6?.vtepMac }
    : { vni: undefined, vtepMac: undefined, vtepMac6: undefined }),
  node,
  leaving: false,
})
