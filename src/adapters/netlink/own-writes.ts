import type { FilterInstruction } from './raw-socket.ts'
import { NUD, RTM, swap16, swap32 } from './wire.ts'

/** linux/bpf_common.h; a half or whole word is loaded in the order of the network. */
const BPF = { loadByte: 0x30, loadHalf: 0x28, loadWord: 0x20, jumpIfEqual: 0x15, return: 0x06 } as const

/** Where things are in a notification: struct nlmsghdr, and struct ndmsg behind it. */
const AT = { type: 4, port: 12, state: 24 } as const

const DROP = 12
const load = (code: number, at: number): FilterInstruction => ({ code, k: at })
/** Jumps are relative to the instruction that follows `here`. */
const whenEqual = (k: number, here: number, to: { yes?: number; no?: number }): FilterInstruction => ({
  code: BPF.jumpIfEqual,
  k: k >>> 0,
  yes: (to.yes ?? here + 1) - here - 1,
  no: (to.no ?? here + 1) - here - 1,
})

/**
 * Spares a listener what it knows: neighbours, routes and nexthop objects that the socket with this port id wrote. Ten thousand rows
 * are ten thousand notifications otherwise, each to be received and decoded.
 *
 * A neighbour that is removed is told twice: FAILED with the port id of whoever did it, then, from neigh_remove_one
 * without one, DELNEIGH in the state FAILED. The second says nothing that the first has not said, whoever it was;
 * rows that go by other ways (flushed with the device, evicted) are told once, in the state that they had.
 */
export const ownWritesFilter = (port: number): readonly FilterInstruction[] => [
  /* 0 */ load(BPF.loadByte, AT.type), // all types are below 256
  /* 1 */ whenEqual(RTM.delNeigh, 1, { yes: 7 }),
  /* 2 */ whenEqual(RTM.newNeigh, 2, { yes: 9 }),
  /* 3 */ whenEqual(RTM.newRoute, 3, { yes: 9 }),
  /* 4 */ whenEqual(RTM.delRoute, 4, { yes: 9 }),
  /* 5 */ whenEqual(RTM.newNexthop, 5, { yes: 9 }),
  /* 6 */ whenEqual(RTM.delNexthop, 6, { yes: 9, no: 11 }),
  /* 7 */ load(BPF.loadHalf, AT.state),
  /* 8 */ whenEqual(swap16(NUD.failed), 8, { yes: DROP }), // an FDB entry is never FAILED
  /* 9 */ load(BPF.loadWord, AT.port),
  /* 10 */ whenEqual(swap32(port), 10, { yes: DROP }),
  /* 11 */ { code: BPF.return, k: 0xffff_ffff },
  /* 12 */ { code: BPF.return, k: 0 },
]
