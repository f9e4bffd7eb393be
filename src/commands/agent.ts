import {
  AsyncSubject,
  connect,
  EMPTY,
  filter,
  firstValueFrom,
  fromEvent,
  lastValueFrom,
  map,
  merge,
  type Observable,
  share,
  Subject,
  switchMap,
  take,
  takeUntil,
  tap,
} from 'rxjs'
import type { Invocation } from '../cli/program.ts'
import { type ControlRoutes, serveControl$ } from '../adapters/host/control.ts'
import { openLog } from '../adapters/host/log.ts'
import { wallTime } from '../adapters/host/clock.ts'
import type { Settings } from '../config/settings.ts'
import { printSubnets } from '../core/overlay/subnet-key.ts'
import type { Renumbering } from '../core/status.ts'
import type { Host } from '../ports/host.ts'
import type { Log } from '../ports/log.ts'
import { agent$, type AgentView } from '../streams/agent.ts'
import type { Leaver } from '../streams/leave.ts'
import { narrator } from '../streams/narrate.ts'
import { rememberLastPeers$ } from '../streams/remember.ts'
import { renumbered$, renumberingTo } from '../streams/renumber.ts'
import { describeAgent, describeHealth, describePeers, type ProcessFacts } from '../streams/report.ts'
import { rehearsal$ } from '../streams/rehearsal.ts'
import { openStage } from '../adapters/netlink/stage.ts'
import { version } from '../version.ts'
import { leaveHost } from './leave.ts'
import { agentSettings, settingsOf } from './settings.ts'
import { openWorld } from './world.ts'

/**
 * The daemon, until a signal or `tweed leave`. A signal leaves data plane and lease alone, so that the next start
 * finds everything in place.
 */
export const runAgent = async (invocation: Invocation): Promise<number> => {
  const s = settingsOf(invocation)
  const settings = agentSettings(s)
  const log = openLogFor(s)
  const { it: world, close } = await openWorld(s)
  const departure = new Departure()
  const outside = new Outside(settings.resolve, () => departure.ask())
  const signals$ = merge(fromEvent(process, 'SIGTERM'), fromEvent(process, 'SIGINT'))
  /** Forwarding is in place. */
  const whenReady$ = (view: AgentView): Observable<never> => {
    world.host.notify('READY=1')
    log.info('agent.ready', { peers: view.forwarding.peers.size, millis: Math.round(performance.now()) })
    if (settings.resolve === 'eager') return EMPTY
    return rehearsal$({ openStage, clock: world.clock, families: [...view.state.devices.keys()] })
  }
  const stop$ = merge(
    signals$.pipe(map(() => 'signal' as const)),
    departure.asked$.pipe(map(() => 'leave' as const)),
  ).pipe(take(1), share())

  // The control socket outlives the agent's streams: whoever asked it to leave hears how that went.
  const running$ = serveControl$(s['run-dir'], outside.routes).pipe(
    tap(() => log.info('agent.started', { version, pid: process.pid, resolve: settings.resolve })),
    switchMap(() => agent$(world, settings, outside.renumber$).pipe(takeUntil(stop$))),
    tap(outside.show),
    tap(narrator(log)),
    connect((views$) => merge(views$, views$.pipe(filter(isUp), take(1), switchMap(whenReady$)))),
  )
  try {
    await whileRunning(running$, async () => {
      const why = await firstValueFrom(stop$)
      world.host.notify('STOPPING=1')
      log.info('agent.stopping', { why })
      if (why === 'leave') await departure.complete(leaveHost(world, s, outside.leaver))
      else await lastValueFrom(outside.lastWords$(world.host), { defaultValue: undefined })
    })
  } finally {
    close() // or its sockets would keep a process alive that has given up
  }
  return 0
}

function openLogFor(s: Settings): Log {
  const automatic = process.stderr.isTTY ? 'text' : 'json'
  return openLog({ format: s['log-format'] === 'auto' ? automatic : s['log-format'], level: s['log-level'] })
}

/** Until the work is done, or the streams can't go on. */
const whileRunning = (running$: Observable<unknown>, work: () => Promise<void>): Promise<void> =>
  new Promise((resolve, reject) => {
    const running = running$.subscribe({ error: reject })
    work()
      .finally(() => running.unsubscribe())
      .then(resolve, reject)
  })

/** An order to leave, and how it went, for the one who gave it. */
class Departure {
  readonly #asked$ = new Subject<void>()
  readonly #outcome$ = new AsyncSubject<void>()
  readonly asked$: Observable<void> = this.#asked$

  ask(): Promise<void> {
    this.#asked$.next()
    return lastValueFrom(this.#outcome$)
  }

  async complete(leaving: Promise<void>): Promise<void> {
    try {
      await leaving
      this.#outcome$.next()
      this.#outcome$.complete()
    } catch (error) {
      this.#outcome$.error(error)
      throw error
    }
  }
}

/** What the control socket shows of the agent. */
class Outside {
  #view: AgentView | undefined
  readonly #views$ = new Subject<AgentView>()
  readonly #ordered$ = new Subject<void>()
  readonly renumber$: Observable<void> = this.#ordered$
  readonly #facts: ProcessFacts
  readonly routes: ControlRoutes

  constructor(resolve: ProcessFacts['resolve'], leave: () => Promise<void>) {
    this.#facts = { version, pid: process.pid, startedAt: new Date().toISOString(), resolve, wallTime }
    this.routes = {
      get: {
        '/status': () => this.#view && describeAgent(this.#view.state, this.#view.forwarding, this.#facts),
        '/peers': () => this.#view && describePeers(this.#view.forwarding, this.#facts),
      },
      post: { '/leave': leave, '/renumber': () => this.#renumber() },
    }
  }

  /** Who this host is in etcd, once that is known. */
  get leaver(): Leaver | undefined {
    const standing = this.#view?.state.standing
    return standing && { node: standing.me.node, lease: standing.lease }
  }

  lastWords$(host: Host): Observable<void> {
    return this.#view ? rememberLastPeers$(host, this.#view.forwarding) : EMPTY
  }

  #renumber(): Promise<Renumbering> {
    const state = this.#view?.state
    const modRevision = state && renumberingTo(state)
    const lease = state?.lease ? printSubnets(state.lease.lease) : null
    if (!state || modRevision === undefined)
      return Promise.resolve({ renumbered: false, fields: [], from: lease, to: lease })
    const done = firstValueFrom(renumbered$(this.#views$, { before: state, modRevision }))
    this.#ordered$.next()
    return done
  }

  readonly show = (view: AgentView): void => {
    this.#view = view
    this.#views$.next(view)
  }
}

const isUp = ({ state, forwarding }: AgentView): boolean => describeHealth(state, forwarding).state !== 'down'
