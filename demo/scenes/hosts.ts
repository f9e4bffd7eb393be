import { defaultConfig, prefix, type Lab } from '../../test/support/lab.ts'
import type { Host } from '../../test/support/host.ts'
import { command, heading, progress, promised, say, table } from '../show.ts'
import type { Stage } from '../story.ts'

/** Starts the agents in the same instant and gives every host two containers. */
export const start = async (lab: Lab): Promise<Stage> => {
  heading('An etcd, and three hosts with an agent each')
  say(`etcd   ${lab.endpoint}   ${prefix}/config = ${JSON.stringify(defaultConfig)}`)
  for (const host of lab.hosts) say(`${host.name}     ${host.address}`)
  say()
  await progress('three agents started at once, until all forward', lab.startAgents())
  for (const host of lab.hosts) {
    await host.addContainer('a')
    await host.addContainer('b')
  }
  const places = lab.hosts.flatMap((host) =>
    host.containers.map((container) => ({ name: `${host.name}/${container.name}`, host, container })),
  )
  const addresses = (host: Host) =>
    places.filter((place) => place.host === host).map((p) => `${p.name} ${p.container.address}`)
  for (const host of lab.hosts) say(`containers on ${host.name}: ${addresses(host).join(', ')}`)
  return { lab, places }
}

interface Record {
  readonly PublicIP: string
  readonly BackendData: { readonly VtepMAC: string }
}

/** What an operator finds in etcd. */
export const leases = async (lab: Lab): Promise<void> => {
  heading('The leases in etcd: who has which subnet')
  const entries = await lab.etcdEntries(`${prefix}/subnets/`)
  const rows = await Promise.all(
    entries.map(async (entry) => {
      const record = JSON.parse(entry.value) as Record
      const host = lab.hosts.find((one) => one.address === record.PublicIP)
      const lease = (await host?.status())?.lease?.leaseId
      const seconds = lease === undefined ? undefined : await lab.leaseSeconds(lease)
      return [
        entry.key.replace(`${prefix}/subnets/`, '').replace('-', '/'),
        host?.name ?? '?',
        record.PublicIP,
        record.BackendData.VtepMAC,
        seconds === undefined ? 'none' : `${(seconds / 3600).toFixed(1)} h, kept alive hourly`,
      ]
    }),
  )
  table([['SUBNET', 'HOST', 'PUBLIC IP', 'VTEP MAC', 'LEASE'], ...rows])
  say()
  const distinct = new Set(entries.map((entry) => entry.key)).size
  promised(`${lab.hosts.length} hosts hold ${distinct} distinct subnets`, distinct === lab.hosts.length)
}

/** The forwarding state of one host, in the words of the usual programs. */
export const tables = async (host: Host): Promise<void> => {
  heading(`The three tables of ${host.name}, complete`)
  const { ip, bridge } = {
    ip: (...args: string[]) => host.netns.ip(...args),
    bridge: (...args: string[]) => host.netns.bridge(...args),
  }
  command('ip route show dev tweed.1', await ip('route', 'show', 'dev', 'tweed.1'))
  command('ip neigh show dev tweed.1 nud all', await ip('neigh', 'show', 'dev', 'tweed.1', 'nud', 'all'))
  command('bridge fdb show dev tweed.1', await bridge('fdb', 'show', 'dev', 'tweed.1'))
  say("Read a packet's way downwards: the route names the next hop, the neighbour its MAC, the FDB")
  say('entry the host that has this MAC.')
}
