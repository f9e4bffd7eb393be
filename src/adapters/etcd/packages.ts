import { createRequire } from 'node:module'
import type * as Cockatiel from 'cockatiel'
import type * as Etcd3Package from 'etcd3'
import type * as Grpc from '@grpc/grpc-js'

// They are CommonJS. `import` would read every file of theirs once more in search of the names that it exports,
// before anything runs: a third of the time that they take to load, and half of an agent's start is loading.
const load = createRequire(import.meta.url)

export const { Etcd3 } = load('etcd3') as typeof Etcd3Package
export const { InterceptingCall } = load('@grpc/grpc-js') as typeof Grpc
export const { noop } = load('cockatiel') as typeof Cockatiel
