import { createRequire } from 'node:module'
import type * as Cockatiel from 'cockatiel'
import type * as Etcd3Package from 'etcd3'
import type * as Grpc from '@grpc/grpc-js'

// They are CommonJS. `import` would read every file of theirs once more in search of the names that it exports,
// before anything runs: a third of the time that they take to load, and half of an agent's start is loading.
const load = createRequire(import.meta.url)

export interface Packages {
  readonly Etcd3: typeof Etcd3Package.Etcd3
  readonly InterceptingCall: typeof Grpc.InterceptingCall
  readonly noop: typeof Cockatiel.noop
}

let loaded: Packages | undefined
/** Loads them at first use: a restarted agent has its tables in place before it connects. */
export const packages = (): Packages =>
  (loaded ??= {
    Etcd3: (load('etcd3') as typeof Etcd3Package).Etcd3,
    InterceptingCall: (load('@grpc/grpc-js') as typeof Grpc).InterceptingCall,
    noop: (load('cockatiel') as typeof Cockatiel).noop,
  })
