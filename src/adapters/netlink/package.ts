import { createRequire } from 'node:module'
import type * as Netlink from 'netlink'

// It is CommonJS. `import` would read every file of it once more in search of the names that it exports.
const load = createRequire(import.meta.url)

export const { AttrStream, ifla, NetlinkSocket, putString, putU32 } = load('netlink') as typeof Netlink
