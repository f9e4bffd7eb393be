import type { Fault } from '../../core/fault.ts'
import type { EndpointAddress } from './endpoint-address.ts'
import { openEndpoint, type Endpoint, type EndpointOptions, type TlsFiles } from './endpoint.ts'
import { isWorthRetrying, toFault } from './faults.ts'

/**
 * All members, of which one is in use. etcd3 would pick one at random for every attempt, the dead one as well
 * as any; here a member that failed is followed by the next.
 */
export interface EndpointPool {
  readonly size: number
  readonly current: () => Endpoint
  /** Reports a failure: rotates where another member may do better. Returns the failure as a Fault. */
  readonly fail: (endpoint: Endpoint, error: unknown) => Fault
  /** New certificates: every member is connected again with them. */
  readonly renew: (tls: TlsFiles | undefined) => void
  readonly close: () => void
}

export const openPool = (addresses: readonly EndpointAddress[], initial: EndpointOptions): EndpointPool => {
  let options = initial
  const slots = addresses.map((address) => ({
    address,
    endpoint: openEndpoint(address, options),
  }))
  let index = Math.floor(Math.random() * slots.length) // agents spread over the members

  const slot = () => {
    const chosen = slots[index % slots.length]
    if (!chosen) throw new RangeError('an endpoint pool needs an address')
    return chosen
  }
  // A channel of grpc-js connects again and again by itself, and never leaves a connection that hangs; a new one
  // for each failure makes every connect an attempt of ours, at the pace of our backoff.
  const rebuild = (broken: (typeof slots)[number]) => {
    broken.endpoint.close()
    broken.endpoint = openEndpoint(broken.address, options)
  }
  return {
    size: slots.length,
    current: () => slot().endpoint,
    fail: (endpoint, error) => {
      const fault = toFault(error, endpoint.name)
      if (fault.code === 'etcd-denied') endpoint.forgetToken()
      const failed = slots.find((each) => each.endpoint === endpoint)
      if (!failed) return fault // reported before, by another call: rotate once for each failure of a member
      if (isWorthRetrying(fault) && failed === slot()) index += 1
      if (fault.code === 'etcd-unreachable') rebuild(failed)
      return fault
    },
    renew: (tls) => {
      options = { ...options, tls }
      slots.forEach(rebuild)
    },
    close: () => {
      for (const { endpoint } of slots) endpoint.close()
    },
  }
}
