import { type Observable, catchError, defer, throwError } from 'rxjs'
import type { Kernel } from '../../ports/kernel.ts'
import { Dumper, allOurRoutes, dumpOurs, standingRoutes } from './dump.ts'
import { Events } from './events.ts'
import { Failed, asFault } from './faults.ts'
import { Features } from './features.ts'
import { FdbEchoes } from './fdb-echoes.ts'
import { interfaces, routeTo } from './interfaces.ts'
import { NextHopLookups } from './next-hops.ts'
import { NexthopObjects } from './nexthop-objects.ts'
import { Requests } from './requests.ts'
import { ensureLink, removeLink } from './vxlan-link.ts'
import { Writer } from './writer.ts'

export interface KernelOptions {
  /** Receive buffer of the event socket: what it holds while the event loop is busy. 8 MiB by default. */
  readonly eventBufferBytes?: number
  /** IPv4 tunnel routes beyond so many name their next hop by an object of its own; 1024 by default. */
  readonly plainRoutes?: number
}

/**
 * The kernel of the network namespace that this process is in. Five sockets, one per purpose: events, writes, dumps,
 * route look-ups, single requests; a sixth for the features of devices, where they matter. The event socket alone keeps the process running, until `close`.
 */
export function openKernel(options: KernelOptions = {}): Kernel & { close(): void } {
  const echoes = new FdbEchoes()
  const nexthops = new NexthopObjects(options.plainRoutes)
  const events = new Events({ echoes, nexthops, receiveBufferBytes: options.eventBufferBytes })
  const dumper = new Dumper()
  const requests = new Requests()
  const lookups = new NextHopLookups()
  const features = new Features()
  const wire = { dumper, requests, features }
  const writer = new Writer({
    echoes,
    nexthops,
    standingRoutes: () => standingRoutes(dumper),
    onRefused: (refusal) => events.emit({ kind: 'refused', refusal }),
    onLost: () => events.emit({ kind: 'overrun' }),
  })
  events.passOver(writer.port)

  const removeAll = async (deviceName: string): Promise<void> => {
    await nexthops.learn(dumper)
    const routes = await allOurRoutes(dumper)
    const [refused] = await writer.apply(routes.map((row) => ({ verb: 'remove', row })))
    if (refused) throw new Failed(refused.fault)
    await removeLink(wire, deviceName)
  }

  const dump = async (of: Parameters<Kernel['dump$']>[0]) => {
    await nexthops.learn(dumper)
    const dumped = await dumpOurs(dumper, of)
    if (of.family === 4) nexthops.counted(dumped.rows)
    return dumped
  }

  return {
    misses$: events.misses$,
    events$: events.events$,
    ensureLink$: (spec) => once$(`vxlan device ${spec.name}`, () => ensureLink(wire, spec)),
    dump$: (of) => once$('dump of the tables', () => dump(of)),
    get room() {
      return writer.room
    },
    apply$: (ops) => once$('write', () => writer.apply(ops)),
    answer: (ops) => writer.answer(ops),
    interfaces$: () => once$('list of the interfaces', () => interfaces(dumper)),
    routeTo$: (destination) => once$('route look-up', () => routeTo(requests, destination)),
    checksumOffload$: (link) => once$('features of the device', () => features.checksumOffload(link)),
    nextHops$: (ips) => once$('route look-ups', () => lookups.ask(ips)),
    removeLink$: (name) => once$(`removal of ${name}`, () => removeLink(wire, name)),
    removeAll$: (deviceName) => once$('cleanup', () => removeAll(deviceName)),
    close: () => {
      events.close()
      writer.close()
      dumper.close()
      lookups.close()
      features.close()
      requests.close()
    },
  }
}

/** Promises end here: a cold stream of one value, or of one fault. */
const once$ = <T>(about: string, run: () => Promise<T>): Observable<T> =>
  defer(run).pipe(catchError((error: unknown) => throwError(() => asFault(error, about))))
