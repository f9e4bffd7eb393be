import type { Netns } from './netns.ts'

/** What `ip -j route` prints of a route, as far as it matters here. */
export interface RouteRow {
  readonly dst: string
  readonly gateway?: string
  readonly dev?: string
  readonly protocol?: string
  readonly scope?: string
  readonly flags: readonly string[]
}
export interface NeighbourRow {
  readonly dst: string
  readonly lladdr?: string
  /** `PERMANENT`, `NOARP`, `REACHABLE`, `FAILED`, … */
  readonly state: readonly string[]
}
export interface FdbRow {
  readonly mac: string
  readonly dst?: string
  readonly state?: string
  readonly flags: readonly string[]
}

/** The three tables of which forwarding state consists, as the kernel has them and not as tweed believes. */
export interface KernelTables {
  /** Routes of our protocol, of both families, on any device. */
  readonly routes: readonly RouteRow[]
  /** Of the overlay device, in any state; without those of multicast groups, which the kernel makes itself. */
  readonly neighbours: readonly NeighbourRow[]
  readonly fdb: readonly FdbRow[]
}

/** Protocol number of the routes that are ours. */
export const routeProtocol = '84'

const isMulticast = (ip: string) => /^(22[4-9]|23\d|ff..?:|255\.)/.test(ip)

// Both programs print nothing at all, not even `[]`, for some empty tables.
const parse = (json: string): unknown => JSON.parse(json.trim() || '[]')

export const readTables = async (netns: Netns, device: string): Promise<KernelTables> => {
  const exists = (await netns.ip('-br', 'link')).split('\n').some((line) => line.startsWith(`${device} `))
  const routesOf = async (family: '-4' | '-6') =>
    parse(await netns.ip(family, '-j', 'route', 'show', 'proto', routeProtocol)) as RouteRow[]
  const routes = [...(await routesOf('-4')), ...(await routesOf('-6'))]
  if (!exists) return { routes, neighbours: [], fdb: [] }
  const neighbours = parse(
    await netns.ip('-j', 'neigh', 'show', 'dev', device, 'nud', 'all'),
  ) as NeighbourRow[]
  const fdb = parse(await netns.bridge('-j', 'fdb', 'show', 'dev', device)) as FdbRow[]
  return { routes, neighbours: neighbours.filter((row) => !isMulticast(row.dst)), fdb }
}

/** Everything that an overlay agent could leave behind, in the words of the programs: equal means equal. */
export const snapshot = async (netns: Netns): Promise<Readonly<Record<string, string>>> => ({
  link: await netns.ip('-j', '-d', 'link'),
  address: await netns.ip('-j', 'addr'),
  route: await netns.ip('-j', 'route', 'show', 'table', 'all'),
  neighbour: await netns.ip('-j', 'neigh', 'show', 'nud', 'permanent'),
  fdb: await netns.bridge('-j', 'fdb', 'show'),
  nft: await netns.exec('nft', 'list', 'ruleset'),
})
