import { Fault } from './fault.ts'

/** Packets to this host that the kernel dropped for a wrong checksum. */
export interface ChecksumErrors {
  readonly udp: number
  readonly tcp: number
}

/** So many within one look are no chance: Ethernet has a checksum of its own, and drops what is broken on the wire. */
const many = 5

export const ChecksumErrors = {
  none: { udp: 0, tcp: 0 },

  since: (before: ChecksumErrors, now: ChecksumErrors): ChecksumErrors => ({
    udp: now.udp - before.udp,
    tcp: now.tcp - before.tcp,
  }),

  /** What to say of those that came between two looks; without numbers, so that it is said once. */
  faultOf: ({ udp, tcp }: ChecksumErrors): Fault | undefined => {
    const which = [...(udp >= many ? ['UDP'] : []), ...(tcp >= many ? ['TCP'] : [])]
    if (which.length === 0) return undefined
    return Fault.of(
      'checksum-errors',
      `${which.join(' and ')} packets arrive with wrong checksums, and are dropped; their sender is at fault`,
    )
  },
} as const
