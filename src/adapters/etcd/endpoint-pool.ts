import { defer, type Observable, of, switchMap, timer } from 'rxjs'
import type { Fault } from '../../core/fault.ts'
import { doublingJitter } from './backoff.ts'
import type { EndpointAddress } from './endpoint-address.ts'
import { openEndpoint, type Endpoint, type EndpointOptions, type TlsFiles } from './endpoint.ts'
import { isWorthRetrying, toFault } from './faults.ts'

/**
 * All members, of which one is in use. etcd3 would pick one at random for every attempt, a dead one too; here a
 * member that failed is followed by the next.
 */
export interface EndpointPool {
  readonly size: number
  /**
   * The member in use, when its turn has come: at once while there is one that may answer. Once all have failed in a
   * row, everybody who asks waits for the same next attempt, so that an agent with many streams knocks as seldom as
   * one with a single stream: less than once a second.
   */
  readonly turn$: Observable<Endpoint>
  /** It has answered. */
  readonly succeed: (endpoint: Endpoint) => void
  /** Reports a failure: rotates where another member may do better. Returns the failure as a Fault. */
  readonly fail: (endpoint: Endpoint, error: unknown) => Fault
  /** New certificates: every member is connected again with them. */
  readonly renew: (tls: TlsFiles | undefined) => void
  /** The host has lost these addresses, and the connections from them. */
  readonly cutFrom: (addresses: readonly string[]) => void
  readonly close: () => void
}

interface Slot {
  readonly address: EndpointAddress
  /** From its first turn on. */
  endpoint: Endpoint | undefined
}

export const openPool = (addresses: readonly EndpointAddress[], initial: EndpointOptions): EndpointPool => {
  let options = initial
  const slots = addresses.map((address): Slot => ({ address, endpoint: undefined }))
  const backoff = doublingJitter(200, 5000)
  let failures = 0
  let restUntil = 0
  let index = Math.floor(Math.random() * slots.length) // agents spread over the members

  const slot = () => {
    const chosen = slots[index % slots.length]
    if (!chosen) throw new RangeError('an endpoint pool needs an address')
    return chosen
  }
  // A channel of grpc-js connects again and again by itself, and never leaves a connection that hangs; a new one
  // for each failure makes every connect an attempt of ours, at the pace of our backoff.
  const rebuild = (broken: Slot) => {
    broken.endpoint?.close()
    broken.endpoint = undefined
  }
  const endpointOf = (chosen: Slot) => (chosen.endpoint ??= openEndpoint(chosen.address, options))
  const rest = () => {
    failures += 1
    if (failures >= slots.length) restUntil = performance.now() + backoff.next()
  }
  const refresh = () => {
    failures = 0
    restUntil = 0
    backoff.reset()
  }
  const turn$: Observable<Endpoint> = defer(() => {
    const waitMs = restUntil - performance.now()
    return waitMs > 0 ? timer(waitMs).pipe(switchMap(() => turn$)) : of(endpointOf(slot()))
  })
  return {
    size: slots.length,
    turn$,
    succeed: (endpoint) => {
      if (slots.some((each) => each.endpoint === endpoint)) refresh()
    },
    fail: (endpoint, error) => {
      const fault = toFault(error, endpoint.name)
      if (fault.code === 'etcd-denied') endpoint.forgetToken()
      const failed = slots.find((each) => each.endpoint === endpoint)
      if (!failed) return fault // reported before, by another call: rotate once for each failure of a member
      if (isWorthRetrying(fault) && failed === slot()) index += 1
      if (fault.code === 'etcd-unreachable') {
        rest()
        rebuild(failed)
      }
      return fault
    },
    renew: (tls) => {
      options = { ...options, tls }
      slots.forEach(rebuild)
      refresh()
    },
    cutFrom: (addresses) => {
      if (slots.filter(({ endpoint }) => endpoint?.cutFrom(addresses)).length > 0) refresh()
    },
    close: () => slots.forEach(({ endpoint }) => endpoint?.close()),
  }
}
