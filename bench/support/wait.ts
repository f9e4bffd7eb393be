import { setTimeout } from 'node:timers/promises'
import type { AgentStatus } from '../../src/core/status.ts'
import type { AgentProcess } from '../../test/support/agent.ts'
import type { Host } from '../../test/support/host.ts'
import { eventually } from '../../test/support/process.ts'
import type { RowReport, RowWatch } from './row-watch.ts'

/** Until this many peers are known and nothing is owed to the kernel. */
export const knows = (host: Host, peers: number, timeoutMs = 120_000): Promise<AgentStatus> =>
  eventually(
    `${host.name} knows ${peers} peers`,
    async () => {
      const status = await host.agent?.status()
      if (!status || status.peers.total !== peers || status.health.state !== 'ready') return undefined
      const { fdb, neighbours, routes } = status.tables
      return fdb.pending + neighbours.pending + routes.pending === 0 ? status : undefined
    },
    timeoutMs,
  )

/**
 * Until it has come to rest: a restarted agent is ready with the peers that it remembers, and reads those of etcd
 * after that.
 */
export const isAtRest = async (host: Host, peers: number): Promise<void> => {
  await eventually(`${host.name} has seen etcd`, async () => {
    const status = await host.agent?.status()
    return status?.etcd.connected === true && status.lease?.state === 'owned' ? status : undefined
  })
  await knows(host, peers)
  await pause(1500)
}

/** The target of `watch`; when it isn't reached, the last words of the agent that should have. */
export const reachedBy = (agent: AgentProcess, watch: RowWatch, timeoutMs?: number): Promise<RowReport> =>
  watch.reached(timeoutMs).catch((error: unknown) => {
    throw new Error(`${String(error)}; the agent:\n${agent.logs.slice(-20).join('\n')}`)
  })

/** For what has to pass by itself: a minute of load, a machine that comes to rest. */
export const pause = (ms: number): Promise<void> => setTimeout(ms)
