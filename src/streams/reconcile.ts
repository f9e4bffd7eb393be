import {
  auditTime, concat, concatMap, defer, EMPTY, expand, filter, ignoreElements, interval, map, merge, NEVER, type Observable, of, share, startWith, Subject, switchMap, tap, timer,
} from 'rxjs' // prettier-ignore
import { Fault } from '../core/fault.ts'
import type { Forwarding, MissAnswer } from '../core/forwarding.ts'
import { describeFight, type Fight } from '../core/kernel/fights.ts'
import type { Dump, Op } from '../core/kernel/rows.ts'
import type { OwnContext } from '../core/overlay/own.ts'
import type { RecordEvent, StoredRecord } from '../core/overlay/record.ts'
import type { Family, Ip } from '../core/net/ip.ts'
import type { Plane } from '../core/plane.ts'
import type { Clock } from '../ports/clock.ts'
import type { Kernel, KernelEvent, Refusal } from '../ports/kernel.ts'
import type { StoreEvent } from '../ports/lease-store.ts'
import { answerMisses$ } from './misses.ts'
import { afterEach } from './operators/after-each.ts'
import { retryTold } from './operators/retry-told.ts'
import { runLatest } from './operators/run-latest.ts'
import { reach$ } from './reach.ts'

/** What the loop did, for log, status and metrics; the loop itself goes on. */
export type Outcome =
  | { readonly kind: 'wrote'; readonly ops: readonly Op[]; readonly refusals: readonly Refusal[] }
  /** `complete`: by now every table has been read since its device came. */
  | { readonly kind: 'dumped'; readonly rows: number; readonly complete: boolean }
  /** Told to those who ask for it alone: misses are counted, and there may be thousands a second. */
  | { readonly kind: 'missed'; readonly ip: Ip; readonly answer: MissAnswer }
  | {
      readonly kind: 'drifted'
      readonly event: KernelEvent & { readonly kind: 'row' }
      /** It is one of many changes of that row; the repair waits. */
      readonly fight: Fight | undefined
      /** Told once, when it begins. */
      readonly fault: Fault | undefined
    }
  | { readonly kind: 'failed'; readonly fault: Fault }
  /** Nothing is owed for the moment. */
  | { readonly kind: 'settled' }

export interface ReconcileOptions {
  readonly kernel: Kernel
  readonly clock: Clock
  readonly forwarding: Forwarding
  readonly own$: Observable<OwnContext>
  /** Every emission, changed or not, puts the tables of its family in doubt. */
  readonly links$: Observable<PlaneLink>
  readonly records$: Observable<StoreEvent<RecordEvent>>
  /** Records of the last run, in force until etcd's first snapshot. */
  readonly savedRecords: readonly StoredRecord[]
  /** How often the tables are compared with the kernel although nothing happened. */
  readonly resyncMs: number
  /** How often the FDB's time stamps are read for `--idle`; 0 never. */
  readonly idleCheckMs: number
  readonly tellMisses?: boolean | undefined
  /** Name of the process with this id, if there is one. */
  readonly processOf?: ((pid: number) => string | undefined) | undefined
}

/** Interface index of a family's device; undefined where none is wanted. */
export interface PlaneLink {
  readonly family: Family
  readonly link: number | undefined
  readonly device?: string
}

/** Reasons to look at what is owed. */
interface Wake {
  readonly now: () => void
  readonly soon: () => void
  /** When no more misses have come for a moment. */
  readonly afterMiss: () => void
}

/**
 * Somebody else's edits come in bursts: a flush of a table, or a device that is going, whose rows go first. The
 * burst is heard to its end before anything is repaired.
 */
const burstMs = 5

/** The packet that waited has gone its way by then, and hosts that were asked for together are written together. */
const promotionMs = 2

/**
 * Keeps the kernel's tables equal to what {@link Forwarding} wants. Events only wake the loop; what is owed is
 * always asked of the state. A miss is answered at once, between two datagrams if need be.
 */
export const reconcile$ = (options: ReconcileOptions): Observable<Outcome> =>
  defer(() => {
    const { kernel, forwarding, clock } = options
    const devices = new Map<number, string>()
    const links$ = options.links$.pipe(
      tap(({ link, device }) => {
        if (link !== undefined && device !== undefined) devices.set(link, device)
      }),
    )
    const wake$ = new Subject<void>()
    const soon$ = new Subject<void>()
    const missed$ = new Subject<void>()
    const settled$ = new Subject<void>()
    const changed$ = new Subject<void>()
    const now = (): ReturnType<Clock['now']> => clock.now()
    const wake: Wake = {
      now: () => wake$.next(),
      soon: () => soon$.next(),
      afterMiss: () => missed$.next(),
    }

    const owned$ = options.own$.pipe(tap((own) => forwarding.setOwn(own, now())))
    const records$ = options.records$.pipe(
      tap((event) => {
        if (event.kind === 'value') forwarding.records(event.value, event.revision, now())
      }),
    )
    const inputs$ = merge(owned$, records$).pipe(
      tap(() => changed$.next()),
      tap(wake.now),
      ignoreElements(),
    )
    const learned$ = reach$({ kernel, clock, forwarding, changed$ }).pipe(
      tap(wake.now),
      concatMap((learned): readonly Outcome[] =>
        learned === 'learned' ? [] : [{ kind: 'failed', fault: learned }],
      ),
    )
    const outcomes$ = merge(
      misses$(options, wake.afterMiss),
      kernelEvents$(options, { wake, deviceOf: (link) => devices.get(link) ?? `#${String(link)}` }),
      merge(dumps$(4, { ...options, links$ }), dumps$(6, { ...options, links$ })).pipe(afterEach(wake.now)),
      learned$,
      soon$.pipe(auditTime(burstMs), tap(wake.now), ignoreElements()),
      missed$.pipe(auditTime(promotionMs), tap(wake.now), ignoreElements()),
      settled$.pipe(switchMap(() => untilDeadline$(forwarding, now).pipe(tap(wake.now), ignoreElements()))),
      wake$.pipe(
        runLatest(() => flush$(kernel, forwarding, now)),
        // Not before: a refusal among what is written makes a deadline of its own.
        tap(({ kind }) => kind === 'settled' && settled$.next()),
      ),
    )
    forwarding.recall(options.savedRecords, now())
    return merge(outcomes$, inputs$)
  })

/** Writes what is owed, one datagram after the other, until nothing is. */
function flush$(kernel: Kernel, forwarding: Forwarding, now: Clock['now']): Observable<Outcome> {
  const datagram$: Observable<Outcome> = defer(() => {
    const ops = forwarding.take(now(), kernel.room)
    if (ops.length === 0) return EMPTY
    return kernel.apply$(ops).pipe(
      map((refusals): Outcome => {
        for (const { op, fault } of refusals) forwarding.refused(op, fault, now())
        forwarding.answered(ops)
        return { kind: 'wrote', ops, refusals }
      }),
    )
  })
  return concat(datagram$.pipe(expand(() => datagram$)), of<Outcome>({ kind: 'settled' }))
}

function untilDeadline$(forwarding: Forwarding, now: Clock['now']): Observable<unknown> {
  const deadline = forwarding.nextDeadline()
  return deadline === undefined
    ? NEVER
    : timer(Math.max(10, deadline - now())).pipe(tap(() => forwarding.tick(now())))
}

/** The outcome is told only to those who ask for it: nothing is made that the next packet would have to wait for. */
const misses$ = (options: ReconcileOptions, afterMiss: () => void): Observable<Outcome> =>
  answerMisses$(options).pipe(
    tap(({ answer }) => answer.ops.length > 0 && afterMiss()),
    filter(() => options.tellMisses === true),
    map((missed): Outcome => ({ kind: 'missed', ...missed })),
  )

function kernelEvents$(
  options: ReconcileOptions,
  { wake, deviceOf }: { readonly wake: Wake; readonly deviceOf: (link: number) => string },
): Observable<Outcome> {
  const { kernel, forwarding, clock } = options
  const drifted = (event: KernelEvent & { readonly kind: 'row' }): Outcome | undefined => {
    const by = { port: event.by, protocol: event.protocol }
    const drift = forwarding.edited(event.verb, event.row, by, clock.now())
    if (!drift) return undefined
    wake.soon()
    if (!drift.isNew) return undefined
    const fight = drift.fight && forwarding.fights.identify(drift.fight, options.processOf?.(event.by))
    const fault =
      fight && drift.began ? Fault.of('row-fight', describeFight(fight, deviceOf(fight.row.link))) : undefined
    return { kind: 'drifted', event, fight, fault }
  }
  const outcomeOf = (event: KernelEvent): Outcome | undefined => {
    switch (event.kind) {
      case 'row':
        return drifted(event)
      case 'refused':
        forwarding.refused(event.refusal.op, event.refusal.fault, clock.now())
        wake.now()
        return { kind: 'wrote', ops: [], refusals: [event.refusal] }
      case 'link':
        if (event.verb === 'remove') forwarding.dropLink(event.link.index)
        return undefined
      case 'overrun':
        return { kind: 'failed', fault: Fault.of('netlink-overrun') }
      case 'address':
      case 'routes':
        return undefined
    }
  }
  return kernel.events$.pipe(
    map(outcomeOf),
    filter((outcome) => outcome !== undefined),
  )
}

/** Of the device as it is when asked: one that was deleted meanwhile can't be dumped, however often it is tried. */
const ourTables$ = (kernel: Kernel, plane: Plane): Observable<Dump> =>
  defer(() => {
    const { family, link, isPlaced } = plane
    plane.dumping()
    return isPlaced
      ? kernel.dump$({ family, link }).pipe(filter(() => plane.isPlaced && plane.link === link))
      : EMPTY
  })

/** The kernel's own truth: at start, whenever the device was touched, on overrun, and on slow timers. */
function dumps$(family: Family, options: ReconcileOptions): Observable<Outcome> {
  const { kernel, clock, forwarding } = options
  const plane = forwarding.plane(family)
  const link$ = options.links$.pipe(
    filter((link) => link.family === family),
    tap(({ link }) => plane.setLink(link)),
    share(),
  )
  const overrun$ = kernel.events$.pipe(filter((event) => event.kind === 'overrun'))
  // With a link or its address IPv4 routes go in silence (fib_frontend.c: fib_disable_ip).
  const touched$ = kernel.events$.pipe(
    filter(
      (event) =>
        (event.kind === 'link' && plane.routesOver(event.link.index)) ||
        (event.kind === 'address' && plane.routesOver(event.address.link)),
    ),
    auditTime(burstMs),
    tap(() => plane.tables.retryNow()), // a link that was down refused them
  )
  const doubt$ = link$.pipe(
    switchMap((link) =>
      merge(
        overrun$,
        touched$,
        interval(options.resyncMs),
        options.idleCheckMs > 0 ? interval(options.idleCheckMs) : NEVER,
      ).pipe(
        map(() => link),
        startWith(link),
      ),
    ),
  )
  return doubt$.pipe(
    runLatest(() =>
      ourTables$(kernel, plane).pipe(
        map((dump): Outcome => {
          plane.dumped(dump, clock.now())
          return { kind: 'dumped', rows: dump.rows.length, complete: forwarding.isRead }
        }),
        retryTold({
          baseMs: 100,
          capMs: 5000,
          random: () => clock.random(),
          tell: (fault): Outcome => ({ kind: 'failed', fault }),
        }),
      ),
    ),
  )
}
