import type { Family } from './ip.ts'

/** What a VXLAN packet adds to the inner IP packet, by the family of the underlay (RFC 7348 §5). */
export const vxlanOverheadBytes = (underlay: Family): number =>
  underlay === 4
    ? 50 // 20 IPv4 + 8 UDP + 8 VXLAN + 14 inner Ethernet
    : 70 // 40 IPv6 + 8 UDP + 8 VXLAN + 14 inner Ethernet
