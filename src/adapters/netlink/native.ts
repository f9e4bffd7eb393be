import { createRequire } from 'node:module'
import { endianness } from 'node:os'
import { dirname } from 'node:path'
import { existsSync } from 'node:fs'
import { getSystemErrorName } from 'node:util'

/** An open socket of the addon; opaque. */
export interface Handle {
  readonly handle: unique symbol
}

/** `native/netlink_socket.c`. Every function answers a negative errno where it fails and throws nothing. */
export interface Native {
  open(
    protocol: number,
    port: number,
    buffer: Buffer,
    onMessage: (length: number, port: number, groups: number) => void,
    onError: (errno: number) => void,
    longest?: number,
  ): Handle | number
  send(handle: Handle, bytes: Uint8Array, length: number, port?: number, groups?: number): number
  receive(handle: Handle): number
  setFilter(handle: Handle, program: Uint8Array): number
  setOption(handle: Handle, level: number, name: number, value: number): number
  getOption(handle: Handle, level: number, name: number): number
  port(handle: Handle): number
  keepAlive(handle: Handle, on: 0 | 1): number
  close(handle: Handle): number
  sendUnixDatagram(path: string, bytes: Uint8Array): number
}

/** The package's root: the addon lies beside `binding.gyp`, whether this file runs from `src` or from `dist`. */
function packageRoot(from: string): string {
  const parent = dirname(from)
  return existsSync(`${from}/binding.gyp`) || parent === from ? from : packageRoot(parent)
}

function load(): Native {
  if (endianness() !== 'LE') throw new Error('tweed speaks netlink on little-endian machines only')
  const require = createRequire(import.meta.url)
  try {
    const find = require('node-gyp-build') as (folder: string) => Native
    return find(packageRoot(import.meta.dirname))
  } catch (error) {
    throw new Error(
      `tweed's native addon could not be loaded on ${process.platform}-${process.arch}: install a C compiler, make ` +
        'and python3, then run `npm rebuild tweed` (in a checkout: `npx node-gyp rebuild`)',
      { cause: error },
    )
  }
}

let loaded: Native | undefined
/** Loads the addon at first use, so that commands that need no kernel run without it. */
export const native = (): Native => (loaded ??= load())

/** The shape of Node's own system errors, and of the `netlink` package's. */
export interface ErrnoException extends Error {
  name: 'ErrnoException'
  syscall: string
  errno: number
  code: string
}

/** From a negative errno. */
export function errnoException(syscall: string, errno: number): ErrnoException {
  const code = getSystemErrorName(errno)
  return Object.assign(new Error(`${syscall} ${code}`), {
    name: 'ErrnoException' as const,
    syscall,
    errno: -errno,
    code,
  })
}
