import type { Daemon } from './process.ts'
import type { Netns } from './netns.ts'

const port = 7007

/** Takes connections on every address of a namespace, and answers each with the number of bytes and their hash. */
export const startTcpServer = async (netns: Netns): Promise<Daemon> => {
  const program = `
    const { createHash } = require('crypto')
    require('net').createServer({ allowHalfOpen: true }, (socket) => {
      const hash = createHash('sha256')
      let bytes = 0
      socket.on('error', () => undefined)
      socket.on('data', (data) => { hash.update(data); bytes += data.length })
      socket.on('end', () => socket.end(bytes + ' ' + hash.digest('hex')))
    }).listen(${String(port)}, '::', () => console.log('listens'))`
  const server = netns.start(process.execPath, '-e', program)
  await server.line(/^listens$/)
  return server
}

export interface TcpTransfer {
  readonly bytes?: number
  /** To give up after without an answer. */
  readonly waitMs?: number
}

/** Whether so many random bytes arrive as they were sent; false if nobody answers. */
export const tcpTransfer = async (
  netns: Netns,
  to: string,
  { bytes = 1 << 20, waitMs = 10_000 }: TcpTransfer = {},
): Promise<boolean> => {
  const program = `
    const { createHash, randomBytes } = require('crypto')
    const sent = randomBytes(${String(bytes)})
    const expected = sent.length + ' ' + createHash('sha256').update(sent).digest('hex')
    const socket = require('net').connect(${String(port)}, '${to}')
    let answer = ''
    const end = (how) => { console.log(how); process.exit() }
    setTimeout(() => end('silence'), ${String(waitMs)})
    socket.on('error', () => end('refused'))
    socket.on('data', (data) => (answer += data))
    socket.on('end', () => end(answer === expected ? 'arrived' : 'corrupted'))
    socket.end(sent)`
  const outcome = (await netns.exec(process.execPath, '-e', program)).trim()
  if (outcome === 'corrupted') throw new Error(`what ${to} received is not what was sent`)
  return outcome === 'arrived'
}
