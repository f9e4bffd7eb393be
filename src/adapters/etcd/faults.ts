import { Fault, type FaultCode } from '../../core/fault.ts'

/** gRPC status codes that etcd and grpc-js use (grpc/grpc doc/statuscodes.md). */
const status = {
  cancelled: 1,
  invalidArgument: 3,
  deadlineExceeded: 4,
  notFound: 5,
  permissionDenied: 7,
  resourceExhausted: 8,
  outOfRange: 11,
  internal: 13,
  unavailable: 14,
  unauthenticated: 16,
} as const

/** A transport that broke, whatever gRPC calls it: the request may or may not have been carried out. */
const broken: ReadonlySet<number> = new Set([
  status.cancelled,
  status.deadlineExceeded,
  status.internal,
  status.unavailable,
])

/** What etcd says when it has lost its quorum (etcd api/v3rpc/rpctypes/error.go). */
const leaderless = /etcdserver: (no leader|not leader|leader changed|request timed out)/
const tls = /certificate|altname|self[- ]signed|EPROTO|ERR_SSL|ERR_TLS|SSL routines|wrong version number/i
const wrongIdentity = /authentication failed|user name is empty|user name not found/
const staleToken = /invalid auth token|auth token is not accepted|revision of auth store is old/

/** A fault of our own that stands for a watch or call that got no answer at all. */
export const noAnswer = (what: string, afterMs: number): Error =>
  new Error(`${status.deadlineExceeded} DEADLINE_EXCEEDED: no answer to ${what} within ${afterMs} ms`)

/** A foreign error, from grpc-js or etcd3, as a Fault with etcd's own words; `endpoint` is where it came from. */
export const toFault = (error: unknown, endpoint?: string): Fault => {
  if (Fault.is(error)) return error
  const { code, words } = read(error)
  const message = endpoint === undefined || words.includes(endpoint) ? words : `${endpoint}: ${words}`
  // Every TLS failure comes as UNAVAILABLE, exactly like a member that is down. It may be one member's
  // certificate only, or be mended at the other end, so that trying goes on.
  if (code === status.unavailable && tls.test(words)) return transient('etcd-denied', `TLS: ${message}`)
  if (leaderless.test(words)) return Fault.of('etcd-no-leader', message)
  if (staleToken.test(words)) return transient('etcd-denied', message)
  if (code === status.permissionDenied || code === status.unauthenticated || wrongIdentity.test(words))
    return Fault.of('etcd-denied', message)
  if (code === status.outOfRange) return Fault.of('etcd-compacted', message)
  if (code === status.notFound && words.includes('lease')) return Fault.of('lease-lost', message)
  if (code === undefined ? /already closed/.test(words) : broken.has(code))
    return Fault.of('etcd-unreachable', message)
  // Overload and a full database pass; a message beyond the limits does not.
  if (code === status.resourceExhausted && !words.includes('larger than max'))
    return transient('etcd-refused', message)
  return Fault.of('etcd-refused', message)
}

/** Why etcd cancelled a watch, which it says in a response and not in a status. */
export const cancelledFault = (reason: string, endpoint: string): Fault => {
  const denied = /permission denied/.test(reason)
  return toFault(
    new Error(`${denied ? status.permissionDenied : status.unavailable} WATCH: ${reason}`),
    endpoint,
  )
}

/** The same, naming the permission whose lack it tells of; `read on /coreos.com/network/config`. */
export const withPermission = (fault: Fault, permission: string): Fault =>
  fault.code === 'etcd-denied' && fault.message.endsWith('permission denied')
    ? { ...fault, message: `${fault.message}: the etcd user needs ${permission}` }
    : fault

/** A later attempt, perhaps at another endpoint, can end differently. */
export const isWorthRetrying = (fault: Fault): boolean =>
  fault.transient && fault.code !== 'lease-lost' && fault.code !== 'etcd-compacted'

/** Forgotten by etcd, or expired: the next call comes with a new one. */
export const isStaleToken = (fault: Fault): boolean =>
  fault.code === 'etcd-denied' && staleToken.test(fault.message)

export const isLeaseExisting = (error: unknown): boolean => /lease already exists/.test(read(error).words)

export const isAuthDisabled = (error: unknown): boolean =>
  /authentication is not enabled/.test(read(error).words)

const transient = (code: FaultCode, message: string): Fault => ({
  ...Fault.of(code, message),
  transient: true,
})

interface Reading {
  readonly code: number | undefined
  readonly words: string
}

/**
 * Both packages put the status in front of the text: `14 UNAVAILABLE: No connection established. Last error: …`;
 * only for a lease that is not found etcd3 takes the whole for the lease's id: `Lease 5 NOT_FOUND: … is expired or revoked`.
 */
const read = (error: unknown): Reading => {
  const text = error instanceof Error ? error.message : String(error)
  const [, code, words] = /^(?:Lease )?(\d+) [A-Z_]+: (.*?)(?: is expired or revoked)?$/s.exec(text) ?? []
  const cause = /Last error: (?:Error: )?(.*?)\.?( Resolution note:.*)?$/s.exec(words ?? text)?.[1]
  return { code: code === undefined ? undefined : Number(code), words: (cause ?? words ?? text).trim() }
}
