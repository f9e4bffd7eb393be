import { rootCertificates } from 'node:tls'
import type { Interceptor, StatusObject } from '@grpc/grpc-js'
import type { Etcd3 as Client, IOptions } from 'etcd3'
import type { EndpointAddress } from './endpoint-address.ts'
import { ownConnections } from './connections.ts'
import { isAuthDisabled } from './faults.ts'
import { packages } from './packages.ts'

/** PEM texts. A CA alone is enough; certificate and key come together. */
export interface TlsFiles {
  readonly ca: Buffer | undefined
  readonly cert: Buffer | undefined
  readonly key: Buffer | undefined
}

export interface Login {
  readonly username: string
  readonly password: string
}

export interface EndpointOptions {
  readonly tls: TlsFiles | undefined
  readonly login: Login | undefined
  /** Limit for each request, without retries. */
  readonly deadlineMs: number
}

/** The clients of one etcd member; both share one TCP connection. */
export interface Endpoint {
  /** `host:port` */
  readonly name: string
  /** Requests and lease streams. */
  readonly requests: Client
  /** Watches have a client of their own, because etcd3 closes every channel of a client of which one call failed. */
  readonly watches: Client
  /** Fetches the token, where there is a login; before every call. */
  readonly ready: () => Promise<void>
  readonly forgetToken: () => void
  /** Every call is made in here, so that its connection goes when the endpoint is closed. */
  readonly run: <T>(call: () => T) => T
  readonly cutFrom: (addresses: readonly string[]) => boolean
  readonly close: () => void
}

let generations = 0

/** Its connections are its own: it shares none, and so no stuck one, with an endpoint opened before. */
export const openEndpoint = (address: EndpointAddress, options: EndpointOptions): Endpoint => {
  const connections = ownConnections()
  const generation = generations++
  let token: string | undefined
  let login: Promise<void> | undefined
  const { Etcd3 } = packages()
  const client = () => new Etcd3(clientOptions(address, options, { generation, token: () => token }))
  const requests = client()
  const watches = client()

  const fetchToken = async ({ username, password }: Login) => {
    try {
      token = (await requests.auth.authenticate({ name: username, password })).token
    } catch (error) {
      // As etcdctl does: a login for a cluster without authentication is no fault.
      if (!isAuthDisabled(error)) throw error
    }
  }
  const forgetToken = () => {
    token = undefined
    login = undefined
  }
  const ready = () => {
    const given = options.login
    if (!given) return Promise.resolve()
    login ??= connections
      .run(() => fetchToken(given))
      .catch((error: unknown) => {
        forgetToken()
        throw error
      })
    return login
  }
  const close = () => {
    requests.close()
    watches.close()
    connections.close()
  }
  const { run, cutFrom } = connections
  return { name: address.host, requests, watches, ready, forgetToken, run, cutFrom, close }
}

interface Session {
  readonly generation: number
  readonly token: () => string | undefined
}

const clientOptions = (address: EndpointAddress, options: EndpointOptions, session: Session): IOptions => {
  const interceptors = [callMetadata(session.token)]
  const credentials = credentialsFor(address, options.tls)
  const { noop } = packages()
  return {
    hosts: address.host,
    ...(credentials && { credentials }),
    grpcOptions: {
      'grpc.keepalive_time_ms': 7000, // etcd cuts those who ping more often than every 5 s (--grpc-keepalive-min-time)
      'grpc.keepalive_timeout_ms': 3000,
      'grpc.max_receive_message_length': 64 << 20, // grpc-js stops at 4 MiB, about 20,000 records
      'grpc.max_reconnect_backoff_ms': 3000, // the default, 2 minutes, would outlive our own
      'grpc.enable_http_proxy': 0,
      // grpc-js shares connections between clients of equal options, stuck ones too: this makes them differ.
      'x-generation': session.generation,
    },
    faultHandling: { global: noop, host: () => noop }, // when to try again is decided in one place, ours
    defaultCallOptions: ({ isStream }) =>
      isStream ? { interceptors } : { interceptors, deadline: Date.now() + options.deadlineMs },
  }
}

/** As clientv3: the scheme decides; without one there is TLS if there is something to do it with. */
const credentialsFor = ({ scheme }: EndpointAddress, tls: TlsFiles | undefined): IOptions['credentials'] => {
  const secure = scheme === undefined ? tls !== undefined : scheme === 'https'
  if (!secure) return undefined
  const rootCertificate = tls?.ca ?? Buffer.from(rootCertificates.join('\n'))
  return tls?.cert && tls.key
    ? { rootCertificate, privateKey: tls.key, certChain: tls.cert }
    : { rootCertificate }
}

const callMetadata =
  (token: () => string | undefined): Interceptor =>
  (options, nextCall) =>
    new (packages().InterceptingCall)(nextCall(options), {
      start: (metadata, _listener, next) => {
        // A member cut off from its quorum says so, where it would keep silent (etcd api/v3rpc/interceptor.go).
        metadata.set('hasleader', 'true')
        const current = token()
        if (current !== undefined) metadata.set('token', current)
        next(metadata, { onReceiveStatus: (status, forward) => forward(withoutTrigger(status)) })
      },
    })

/** These very words make etcd3 repeat the call for ever, without a pause and with the same token. */
const withoutTrigger = (status: StatusObject): StatusObject => ({
  ...status,
  details: status.details.replace('invalid auth token', 'the auth token is not accepted'),
})
