import { Observable } from 'rxjs'
import { ownTable } from '../../core/filter/masquerade.ts'
import type { FilterChange } from '../../ports/packet-filter.ts'
import { asFault } from './faults.ts'
import { RawSocket } from './raw-socket.ts'
import { HEADER_BYTES, eachAttribute, eachMessage, readString } from './wire.ts'

/** `include/uapi/linux`: netlink.h, netfilter/nfnetlink.h, netfilter/nf_tables.h, netfilter.h. */
const NETLINK_NETFILTER = 12
const NFNLGRP_NFTABLES = 7
const NFNL_SUBSYS_NFTABLES = 10
const NFPROTO_INET = 1
const NFGENMSG_BYTES = 4
/** NFT_MSG_NEWRULE to NFT_MSG_DELRULE are 6 to 8; tables and chains come before, sets and their elements after. */
const LAST_OF_RULES = 8
/** Of table, chain, rule and set alike: NFTA_TABLE_NAME, NFTA_CHAIN_TABLE, NFTA_RULE_TABLE, NFTA_SET_TABLE. */
const TABLE_ATTRIBUTE = 1
/** NEWGEN ends each transaction; its first attribute is a number. */
const NFT_MSG_NEWGEN = 15

/** What the kernel tells of every transaction of nftables in this network namespace. Needs CAP_NET_ADMIN. */
export const filterChanges$ = (): Observable<FilterChange> =>
  new Observable((out) => {
    try {
      const socket = new RawSocket(NETLINK_NETFILTER)
      out.add(() => socket.close())
      socket.onDatagram = (b, length, fromPort) => {
        if (fromPort !== 0) return
        eachMessage(b, length, (type, start, end) => {
          const change = changeOf(b, type, { start, end })
          if (change) out.next(change)
        })
      }
      // Lost notifications (ENOBUFS) may have been about anything.
      socket.on('error', () => out.next('own'))
      socket.addMembership(NFNLGRP_NFTABLES)
    } catch (error) {
      out.error(asFault(error, 'notifications of nftables'))
    }
  })

function changeOf(
  b: Buffer,
  type: number,
  { start, end }: { readonly start: number; readonly end: number },
): FilterChange | undefined {
  const message = type & 0xff
  if (type >> 8 !== NFNL_SUBSYS_NFTABLES || message === NFT_MSG_NEWGEN) return undefined
  let table = ''
  eachAttribute(b, start + HEADER_BYTES + NFGENMSG_BYTES, end, (attribute, at, length) => {
    if (attribute === TABLE_ATTRIBUTE) table = readString(b, at, length)
  })
  if (b[start + HEADER_BYTES] === NFPROTO_INET && table === ownTable.name) return 'own'
  return message <= LAST_OF_RULES ? 'others' : undefined
}
