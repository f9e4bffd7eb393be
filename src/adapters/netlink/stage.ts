import type { Stage } from '../../ports/kernel.ts'
import { encodeMiss, outgoing } from './encode.ts'
import { Events } from './events.ts'
import { FdbEchoes } from './fdb-echoes.ts'
import { NexthopObjects } from './nexthop-objects.ts'
import { NETLINK_USERSOCK } from './wire.ts'
import { Writer } from './writer.ts'

/** Events and writer as they are, on sockets of a protocol that has no kernel at the other end. */
export function openStage(): Stage {
  const echoes = new FdbEchoes()
  const nexthops = new NexthopObjects()
  const events = new Events({ echoes, nexthops, protocol: NETLINK_USERSOCK })
  const writer = new Writer({
    echoes,
    nexthops,
    standingRoutes: () => Promise.resolve([]),
    onRefused: () => undefined,
    onLost: () => undefined,
    silent: true,
  })
  const { words, bytes } = outgoing(1)
  return {
    misses$: events.misses$,
    answer: (ops) => writer.answer(ops),
    ask: (miss) => events.hear(bytes, encodeMiss(words, miss) * 4),
    close: () => {
      events.close()
      writer.close()
    },
  }
}
