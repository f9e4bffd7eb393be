import { constants } from 'node:os'
import { Fault } from '../../core/fault.ts'
import { checksumFeature } from '../../core/kernel/link-notation.ts'
import { Failed, KernelError } from './faults.ts'
import { putString, putU32 } from './package.ts'
import { Requests } from './requests.ts'
import { HEADER_BYTES, align4, eachAttribute, readString, u16 } from './wire.ts'

const NLA_F_NESTED = 0x8000
/** genetlink.h */
const NETLINK_GENERIC = 16
const GENL_ID_CTRL = 16
const CTRL = { getFamily: 3, familyId: 1, familyName: 2 } as const
const GENL_HEADER_BYTES = 4
/** ethtool_netlink.h */
const ETHTOOL_MSG = { featuresGet: 11, featuresSet: 12 } as const
const FEATURES = { header: 1, wanted: 3, active: 4 } as const
const HEADER = { devIndex: 1, flags: 3 } as const
const ETHTOOL_FLAG_OMIT_REPLY = 2
const BITSET = { bits: 3, bit: 1, name: 2, value: 3 } as const

/** By hand: generic netlink insists on NLA_F_NESTED, which the package's AttrStream takes away. */
function attribute(type: number, payload: Uint8Array): Buffer {
  const out = Buffer.alloc(align4(4 + payload.length))
  out.writeUInt16LE(4 + payload.length, 0)
  out.writeUInt16LE(type, 2)
  out.set(payload, 4)
  return out
}
const nested = (type: number, ...inner: readonly Buffer[]): Buffer =>
  attribute(NLA_F_NESTED | type, Buffer.concat(inner))

const message = (command: number, ...attributes: readonly Buffer[]): Buffer =>
  Buffer.concat([Buffer.from([command, 1, 0, 0]), ...attributes])

/**
 * What `ethtool -k` shows and `ethtool -K` sets, through generic netlink (Linux 5.6). Only for who wants it: the socket
 * is opened at the first question.
 */
export class Features {
  #requests: Requests | undefined
  #family: number | undefined

  close(): void {
    this.#requests?.close()
  }

  /** Whether checksums are left to whoever sends the packets in the end. */
  async checksumOffload(link: number): Promise<boolean> {
    const header = nested(FEATURES.header, attribute(HEADER.devIndex, putU32(link)))
    return activeNames(await this.#ask(message(ETHTOOL_MSG.featuresGet, header))).includes(checksumFeature)
  }

  async setChecksumOffload(link: number, on: boolean): Promise<void> {
    const device = attribute(HEADER.devIndex, putU32(link))
    const flags = attribute(HEADER.flags, putU32(ETHTOOL_FLAG_OMIT_REPLY))
    const name = attribute(BITSET.name, putString(checksumFeature))
    const value = on ? [attribute(BITSET.value, Buffer.alloc(0))] : []
    const wanted = nested(FEATURES.wanted, nested(BITSET.bits, nested(BITSET.bit, name, ...value)))
    await this.#ask(message(ETHTOOL_MSG.featuresSet, nested(FEATURES.header, device, flags), wanted))
    if ((await this.checksumOffload(link)) !== on)
      throw new Failed(Fault.of('kernel-refused', `the kernel keeps ${checksumFeature} ${on ? 'off' : 'on'}`))
  }

  async #ask(body: Buffer): Promise<Buffer | undefined> {
    const requests = (this.#requests ??= new Requests(NETLINK_GENERIC))
    this.#family ??= await ethtoolFamily(requests)
    return requests.ask(this.#family, 0, body)
  }
}

/** Families of generic netlink have numbers by the order in which they came. */
async function ethtoolFamily(requests: Requests): Promise<number> {
  const name = attribute(CTRL.familyName, putString('ethtool'))
  try {
    const b = await requests.ask(GENL_ID_CTRL, 0, message(CTRL.getFamily, name))
    let id: number | undefined
    if (b)
      eachAttribute(b, HEADER_BYTES + GENL_HEADER_BYTES, b.length, (type, at) => {
        if (type === CTRL.familyId) id = u16(b, at)
      })
    if (id !== undefined) return id
  } catch (error) {
    if (!(error instanceof KernelError) || error.complaint.errno !== constants.errno.ENOENT) throw error
  }
  throw new Failed(Fault.of('kernel-refused', 'this kernel has no netlink for ethtool (Linux 5.6 has it)'))
}

/** A list without a mask: what is on is there. */
function activeNames(b: Buffer | undefined): readonly string[] {
  const names: string[] = []
  if (!b) return names
  const within = (wanted: number, inside: (at: number, length: number) => void) => {
    return (type: number, at: number, length: number): void => {
      if (type === wanted) inside(at, length)
    }
  }
  const into = (wanted: number, inside: (at: number, length: number) => void) => {
    return (at: number, length: number): void => {
      eachAttribute(b, at, at + length, within(wanted, inside))
    }
  }
  const readName = into(BITSET.name, (at, length) => names.push(readString(b, at, length)))
  const readBits = into(BITSET.bits, into(BITSET.bit, readName))
  eachAttribute(b, HEADER_BYTES + GENL_HEADER_BYTES, b.length, within(FEATURES.active, readBits))
  return names
}
