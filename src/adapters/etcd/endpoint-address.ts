/** One member of the cluster, as given by the user. */
export interface EndpointAddress {
  /** `host:port`, which is also its name in messages. */
  readonly host: string
  readonly scheme: 'http' | 'https' | undefined
}

/** etcd's client port (IANA). */
const defaultPort = '2379'

/**
 * flannel's and etcdctl's notation: comma separated, scheme and port optional: `http://192.0.2.1:2379,https://b`.
 * Returns the first entry that cannot be read as `{ bad }`, without any user information that it may hold.
 */
export const parseEndpoints = (
  endpoints: string | readonly string[],
): readonly EndpointAddress[] | { readonly bad: string } => {
  const entries = (typeof endpoints === 'string' ? [endpoints] : endpoints)
    .flatMap((entry) => entry.split(','))
    .map((entry) => entry.trim())
    .filter((entry) => entry !== '')
  const addresses: EndpointAddress[] = []
  for (const entry of entries) {
    const address = parseEndpoint(entry)
    if (!address) return { bad: entry.replace(/\/\/.*@/, '//') }
    addresses.push(address)
  }
  return addresses.length > 0 ? addresses : { bad: '' }
}

const parseEndpoint = (entry: string): EndpointAddress | undefined => {
  const match = /^(?:(https?):\/\/)?(\[[0-9a-fA-F:.]+\]|[\w.-]+)(?::(\d{1,5}))?\/?$/.exec(entry)
  if (!match) return undefined
  const [, scheme, host, port = defaultPort] = match
  if (host === undefined || Number(port) === 0 || Number(port) > 0xffff) return undefined
  return {
    host: `${host}:${port}`,
    scheme: scheme === 'http' || scheme === 'https' ? scheme : undefined,
  }
}
