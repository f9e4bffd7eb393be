import type { Observable } from 'rxjs'
import type { Family, Ip } from '../core/net/ip.ts'
import type { Fault } from '../core/fault.ts'
import type { Dump, Op, Row } from '../core/kernel/rows.ts'

export type { Dump } from '../core/kernel/rows.ts'
import type { NextHop } from '../core/overlay/reach.ts'
import type { EnsuredLink, InterfaceAddress, LinkFacts, VxlanSpec } from '../core/kernel/link.ts'

/** The Linux kernel of one network namespace, as far as an overlay agent needs it. */
export interface Kernel {
  /** Creates, adopts, repairs or recreates the device until it equals `spec`; errors with a {@link Fault}. */
  ensureLink$(spec: VxlanSpec): Observable<EnsuredLink>

  /**
   * Our rows of one family: neighbours and FDB of its device, if there is one, and the routes of our protocol on any
   * device. One emission.
   */
  dump$(of: { readonly family: Family; readonly link: number | undefined }): Observable<Dump>

  /**
   * How many operations {@link apply$} writes at once, that is before it returns. Hand it no more: what waits in a
   * queue could undo what a miss writes meanwhile.
   */
  readonly room: number

  /** Packed, in the given order. Emits once: what was refused; the rest is in the kernel. */
  apply$(ops: readonly Op[]): Observable<readonly Refusal[]>

  /** The miss path: writes the rows in one datagram now and returns; refusals arrive as an event. */
  answer(ops: readonly Op[]): void

  /** Its questions. Hot, and apart from {@link events$}, so that a packet that waits waits for nobody else. */
  readonly misses$: Observable<Miss>

  /** What else it says unasked. Hot; subscribe before the first dump. */
  readonly events$: Observable<KernelEvent>

  /** Every device and address of the namespace, and the device that a route look-up would use. */
  interfaces$(): Observable<Interfaces>
  routeTo$(
    destination: Ip,
  ): Observable<{ readonly link: number; readonly source: Ip | undefined } | undefined>

  /** Whether a device leaves checksums to the network card; undefined where the kernel doesn't tell. */
  checksumOffload$(link: number): Observable<boolean | undefined>

  /** How the kernel would send to each of these underlay addresses; undefined where it has no way. */
  nextHops$(destinations: readonly Ip[]): Observable<ReadonlyMap<Ip, NextHop | undefined>>

  /** Removes a device that we have outgrown, if it is one of ours. */
  removeLink$(deviceName: string): Observable<void>
  /** Removes our device (one of ours only) and every route of our protocol. */
  removeAll$(deviceName: string): Observable<void>
}

/** A kernel for rehearsals: its questions are made up, and the answers go nowhere. */
export interface Stage extends Pick<Kernel, 'misses$' | 'answer'> {
  ask(miss: Miss): void
  /** Ends {@link misses$}. */
  close(): void
}

export interface Refusal {
  readonly op: Op
  readonly fault: Fault
}

export interface Interfaces {
  readonly links: readonly LinkFacts[]
  readonly addresses: readonly InterfaceAddress[]
  /** Link of the IPv4 default route with the lowest metric. */
  readonly defaultLink: number | undefined
  /** The same of IPv6. */
  readonly defaultLink6: number | undefined
}

/** The ARP layer asks who has `ip` (`app_solicit`): a packet waits, or a live entry is probed again. */
export interface Miss {
  readonly link: number
  readonly ip: Ip
  readonly probe: boolean
}

export type KernelEvent =
  /** A row appeared, changed or went, by somebody else's hand. */
  | {
      readonly kind: 'row'
      readonly verb: 'add' | 'remove'
      readonly row: Row
      /** Port id of the netlink socket that asked for it; 0 is the kernel, or not known. */
      readonly by: number
      /** Protocol number of the route that somebody put in the place of ours. */
      readonly protocol?: number
    }
  | { readonly kind: 'link'; readonly verb: 'add' | 'remove'; readonly link: LinkFacts }
  /** Somebody changed a route that is none of ours: the way to other hosts may be another. */
  | { readonly kind: 'routes' }
  | { readonly kind: 'address'; readonly verb: 'add' | 'remove'; readonly address: InterfaceAddress }
  /** Notifications were lost: only a dump tells the truth now. */
  | { readonly kind: 'overrun' }
  /** A row that {@link Kernel.answer} wrote was refused. */
  | { readonly kind: 'refused'; readonly refusal: Refusal }
