import { spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { expect } from 'chai'
import { NetlinkSocket, type RawNetlinkSocket } from 'netlink'
import { native } from '../../../src/adapters/netlink/native.ts'
import { readLink } from '../../../src/adapters/netlink/decode-link.ts'
import { RawSocket } from '../../../src/adapters/netlink/raw-socket.ts'
import { eachMessage } from '../../../src/adapters/netlink/wire.ts'
import { Daemon, run } from '../../support/process.ts'
import { Namespace, sh } from './namespace.ts'

const RTM_GETLINK = 18
const DUMP = 0x300
const LOAD = "import { RawSocket } from './src/adapters/netlink/raw-socket.ts'\n"
const ASK = `const request = Buffer.alloc(32)
request.writeUInt32LE(32, 0); request.writeUInt16LE(18, 4); request.writeUInt16LE(0x301, 6)\n`

/** A program in a process of its own: what must not abort would take the tests along. */
const program = (body: string): Promise<{ code: number | null; signal: string | null; stderr: string }> =>
  run([process.execPath, '--import', 'tsx', '--input-type', 'module', '--eval', LOAD + ASK + body])

const linkNames = (socket: RawSocket): Promise<string[]> => {
  const request = Buffer.alloc(32)
  request.writeUInt32LE(32, 0)
  request.writeUInt16LE(RTM_GETLINK, 4)
  request.writeUInt16LE(DUMP | 1, 6)
  return new Promise((resolve) => {
    const names: string[] = []
    socket.onDatagram = (b, length) =>
      eachMessage(b, length, (type, start, end) => {
        const link = type === 16 ? readLink(b, start, end) : undefined
        if (link) names.push(link.name)
        if (type === 3) resolve(names)
      })
    expect(socket.sendNow(request, request.length)).to.equal(0)
  })
}

describe('RawSocket', () => {
  let namespace: Namespace
  before(async () => {
    namespace = await Namespace.open()
  })
  after(() => namespace.close())

  it("carries the package's NetlinkSocket", async () => {
    const socket = new NetlinkSocket(new RawSocket(0) as unknown as RawNetlinkSocket)
    const [messages] = await socket.request(RTM_GETLINK, Buffer.alloc(16), { flags: DUMP, timeout: 5000 })
    const [, refused] = await Promise.allSettled([
      socket.request(RTM_GETLINK, Buffer.alloc(16), { flags: DUMP, timeout: 5000 }),
      socket.request(19, Buffer.alloc(16), { timeout: 5000 }), // RTM_SETLINK of no device
    ])
    socket.close()
    expect(messages).to.have.lengthOf((JSON.parse(await sh('ip -j link')) as unknown[]).length)
    expect(refused.status === 'rejected' && String(refused.reason)).to.match(/Request rejected: EINVAL/)
  })

  it('reports an overrun as an error and works on', async () => {
    const socket = new RawSocket(0)
    socket.setRecvBufferSize(4096)
    socket.addMembership(3)
    const errors: NodeJS.ErrnoException[] = []
    socket.on('error', (error) => errors.push(error))
    const overrun = once(socket, 'error')
    const lines = Array.from({ length: 500 }, (_, n) => `neigh replace 192.0.2.${n % 200} dev nl0 lladdr ` +
      `02:00:00:00:${n >> 8}:${(n & 255).toString(16)} nud permanent`) // prettier-ignore
    // Synchronous, so that nobody reads meanwhile.
    spawnSync('ip', ['-batch', '-'], { input: lines.join('\n') })
    await overrun
    expect(errors[0]).to.include({ code: 'ENOBUFS', name: 'ErrnoException' })
    expect(await linkNames(socket)).to.include('nl0')
    await sh('ip neigh flush dev nl0 nud permanent')
    socket.close()
  })

  it('makes an uncaughtException of what a listener throws', async () => {
    const throwing = `const socket = new RawSocket(0)
      socket.onDatagram = () => { throw new Error('boom') }
      socket.sendNow(request, 32)\n`
    const caught = "process.on('uncaughtException', (e) => process.exit(e.message === 'boom' ? 42 : 1))\n"
    expect(await program(caught + throwing)).to.include({ code: 42, signal: null })
    const uncaught = await program(throwing)
    expect(uncaught).to.include({ code: 1, signal: null })
    expect(uncaught.stderr).to.include('Error: boom')
  })

  it('goes on after a listener threw', async () => {
    const body = `process.on('uncaughtException', () => undefined)
      const socket = new RawSocket(0)
      let calls = 0
      socket.onDatagram = () => {
        calls++
        if (calls === 1) { socket.sendNow(request, 32); throw new Error('boom') }
        if (calls > 2) process.exit(42)
      }
      socket.sendNow(request, 32)`
    expect(await program(body)).to.include({ code: 42, signal: null })
  })

  it('ends with its worker, open or closing', async () => {
    const worker = `import { Worker } from 'node:worker_threads'
      const body = \`const native = require('node-gyp-build')(process.cwd())
        const open = () => native.open(0, 0, Buffer.alloc(65536), () => {}, () => {})
        const sockets = [open(), open(), open()]
        native.close(sockets[2])
        require('node:worker_threads').parentPort.postMessage('open')\`
      for (let n = 0; n < 3; n++) {
        const worker = new Worker(body, { eval: true, execArgv: [] })
        await new Promise((resolve) => worker.once('message', resolve))
        await worker.terminate()
      }
      process.exit(42)`
    const finished = await program(worker)
    expect(finished, finished.stderr).to.include({ code: 42, signal: null })
  })

  it('ends with the process, open', async () => {
    expect(await program('const a = new RawSocket(0), b = new RawSocket(0); process.exitCode = 42; a.unref(); b.unref()'))
      .to.include({ code: 42, signal: null }) // prettier-ignore
  })

  it('refuses what comes after close', () => {
    const socket = new RawSocket(0)
    socket.close()
    expect(() => socket.address()).to.throw('getsockname EBADF')
    expect(socket.sendNow(Buffer.alloc(16), 16)).to.be.lessThan(0)
    expect(() => {
      socket.close()
    }).to.throw('EBADF')
  })

  it('sets and reads options, and says which it could not', () => {
    const socket = new RawSocket(0)
    socket.setsockopt(270, 11, 1) // NETLINK_EXT_ACK
    expect(socket.getsockopt(270, 11)).to.equal(1)
    socket.setRecvBufferSize(100_000)
    expect(socket.getRecvBufferSize()).to.equal(200_000) // the kernel doubles it (sock.c)
    expect(() => {
      socket.setsockopt(270, 9999, 1)
    }).to.throw('setsockopt ENOPROTOOPT')
    socket.close()
  })

  it('says how long a message was that did not fit', async () => {
    const socket = new RawSocket(0, { receiveBytes: 64 })
    const truncated = once(socket, 'truncatedMessage')
    const request = Buffer.alloc(32)
    request.writeUInt32LE(32, 0)
    request.writeUInt16LE(RTM_GETLINK, 4)
    request.writeUInt16LE(DUMP | 1, 6)
    socket.send(request)
    const [message, info] = (await truncated) as [Buffer, { truncated: number }]
    socket.close()
    expect(message).to.have.lengthOf(64)
    expect(info.truncated).to.be.greaterThan(64)
  })
})

describe('sendUnixDatagram', () => {
  const listen = (address: string): Daemon =>
    Daemon.start(['perl', '-MSocket', '-e', `socket(S,AF_UNIX,SOCK_DGRAM,0); bind(S,pack_sockaddr_un(${address})) or die $!;
      $|=1; print "bound\\n"; recv(S,$m,100,0); print "$m\\n"`]) // prettier-ignore

  it('reaches a path and an abstract name, as sd_notify(3) names them', async () => {
    const path = `/tmp/tweed-notify-${process.pid}`
    for (const [perl, name] of [
      [`"${path}"`, path],
      ['"\\0tweed-notify"', '@tweed-notify'],
    ] as const) {
      const listener = listen(perl)
      await listener.line(/^bound$/)
      expect(native().sendUnixDatagram(name, Buffer.from('READY=1'))).to.equal(0)
      await listener.line(/^READY=1$/)
      await listener.exited
    }
    await sh(`rm ${path}`)
  })

  it('answers with the errno where nobody listens', () => {
    const sendUnixDatagram = (path: string, bytes: Buffer) => native().sendUnixDatagram(path, bytes)
    expect(sendUnixDatagram('/nowhere/socket', Buffer.from('x'))).to.equal(-2) // ENOENT
    expect(sendUnixDatagram('@tweed-nobody', Buffer.from('x'))).to.equal(-111) // ECONNREFUSED
    expect(sendUnixDatagram('/'.padEnd(200, 'x'), Buffer.from('x'))).to.equal(-36) // ENAMETOOLONG
    expect(sendUnixDatagram('', Buffer.from('x'))).to.equal(-22) // EINVAL
  })
})
