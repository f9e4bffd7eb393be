import { heading, progress, promised, say, table } from '../show.ts'
import type { Stage } from '../story.ts'

const more = 50

/** The FDB counts hosts and not containers. */
export const manyContainers = async ({ lab, places }: Stage): Promise<void> => {
  heading('Fifty containers more, and not one entry more')
  const here = lab.host(1)
  const there = lab.host(2)
  const [sender] = here.containers
  if (!sender) throw new Error(`${here.name} has no container`)
  const size = async () => {
    const { fdb, neighbours, routes } = await here.tables()
    return [fdb.length, neighbours.length, routes.length]
  }
  const before = await size()
  const crowd = await there.addContainer('crowd', { addresses: more })
  const { sent, received } = await progress(
    `one first packet to each of ${more} new addresses on ${there.name}`,
    crowd.answerDatagrams().then(() => sender.firstPackets(crowd.addresses)),
  )
  const after = await size()
  say()
  const row = (what: string, containers: number, sizes: readonly number[]) =>
    [what, containers, ...sizes].map(String)
  table([
    [here.name.toUpperCase(), 'CONTAINER ADDRESSES ELSEWHERE', 'FDB', 'NEIGHBOURS', 'ROUTES'],
    row('before', places.length - here.containers.length, before),
    row('after', places.length - here.containers.length + more, after),
  ])
  say()
  promised(`${sent - received} of ${sent} first packets lost`, received === sent)
  promised(`the FDB of ${here.name} holds ${after[0] ?? 0} entries, one for each remote host`, after[0] === 2)
  const isNoMore = after.every((size, i) => size <= (before[i] ?? 0))
  promised('neighbours and routes have not become more either', isNoMore)
}
