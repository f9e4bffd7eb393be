import { heading, millis, progress, promised, say } from '../show.ts'
import type { Stage } from '../story.ts'

const answersWithoutAgent = 50

/** The data plane is the kernel's: the agent may die and come back without anybody noticing. */
export const death = async ({ lab }: Stage): Promise<void> => {
  const host = lab.host(1)
  heading(`kill -9 of the agent on ${host.name}, under a running ping`)
  const [from] = host.containers
  const [to] = lab.host(2).containers
  if (!from || !to || !host.agent) throw new Error('the stage is incomplete')
  const revision = await lab.etcdRevision()
  const monitor = await host.monitorWrites()
  const stream = await from.pingStream(to.address)

  const { pid } = host.agent
  await host.agent.kill('SIGKILL')
  const without = stream.received
  say(`agent ${pid} killed; the ping every 10 ms from ${from.address} to ${to.address} goes on`)
  await progress(
    `${answersWithoutAgent} more answers, with no agent`,
    (async () => {
      while (stream.received < without + answersWithoutAgent) await stream.nextAnswer()
    })(),
  )
  const agent = await host.startAgent()
  await progress(`agent ${agent.pid} started, until it is ready`, agent.waitReady())
  await stream.nextAnswer()

  const { sent, lost, longestGapMs } = await stream.stop()
  const writes = await monitor.stop()
  const after = await lab.etcdRevision()
  say()
  promised(`${lost} of ${sent} packets lost, longest gap ${millis(longestGapMs)}`, lost === 0 && sent > 0)
  promised(`etcd is at revision ${after}, as before (${revision})`, after === revision)
  promised(`the kernel was written to ${writes.length} times`, writes.length === 0)
  for (const write of writes) say(`  ${write}`)
}
