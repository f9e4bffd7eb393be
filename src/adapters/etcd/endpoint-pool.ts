import type { Fault } from '../../core/fault.ts'
import { limitConnects } from './connect-limit.ts'
import type { EndpointAddress } from './endpoint-address.ts'
import { openEndpoint, type Endpoint, type EndpointOptions } from './endpoint.ts'
import { isHang, isWorthRetrying, toFault } from './faults.ts'

/**
 * All members, of which one is in use. etcd3 would pick one at random for every attempt, the dead one as well
 * as any; here a member that failed is followed by the next.
 */
export interface EndpointPool {
  readonly size: number
  readonly current: () => Endpoint
  /** Reports a failure: rotates where another member may do better. Returns the failure as a Fault. */
  readonly fail: (endpoint: Endpoint, error: unknown) => Fault
  readonly close: () => void
}

/** Time for answers that are still on their way over a connection that was given up. */
const lingerMs = 1000

export const openPool = (addresses: readonly EndpointAddress[], options: EndpointOptions): EndpointPool => {
  const slots = addresses.map((address) => ({
    address,
    generation: 0,
    endpoint: openEndpoint(address, options, 0),
  }))
  const stopLimiting = limitConnects(new Set(addresses.map(({ port }) => port)))
  const lingering = new Map<NodeJS.Timeout, Endpoint>()
  let index = Math.floor(Math.random() * slots.length) // agents spread over the members

  const slot = () => {
    const chosen = slots[index % slots.length]
    if (!chosen) throw new RangeError('an endpoint pool needs an address')
    return chosen
  }
  const rebuild = (stuck: (typeof slots)[number]) => {
    const old = stuck.endpoint
    const timer = setTimeout(() => {
      lingering.delete(timer)
      old.close()
    }, lingerMs).unref()
    lingering.set(timer, old)
    stuck.generation += 1
    stuck.endpoint = openEndpoint(stuck.address, options, stuck.generation)
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
      if (isHang(error)) rebuild(failed)
      return fault
    },
    close: () => {
      for (const [timer, endpoint] of lingering) {
        clearTimeout(timer)
        endpoint.close()
      }
      lingering.clear()
      for (const { endpoint } of slots) endpoint.close()
      stopLimiting()
    },
  }
}
