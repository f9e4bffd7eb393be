// Runs inside a container, by `node --import tsx`:
//   udp.ts echo <port>                sends every datagram back to where it came from
//   udp.ts probe <port> <per second>  one datagram to each address on standard input; prints the outcome as JSON
import { createSocket } from 'node:dgram'
import { text } from 'node:stream/consumers'

/** Round-trip times in the order of the addresses, null where no answer came. */
export interface ProbeOutcome {
  readonly rttsMs: readonly (number | null)[]
}

/** How long after the last datagram an answer still counts. A retried ARP answer would come within it. */
const patienceMs = 2000

const echo = (port: number) => {
  const socket = createSocket({ type: 'udp4', recvBufferSize: 4 << 20 })
  socket.on('message', (message, from) => socket.send(message, from.port, from.address))
  socket.bind(port, () => console.log('listening'))
}

const probe = (port: number, perSecond: number, addresses: readonly string[]) => {
  const socket = createSocket({ type: 'udp4', recvBufferSize: 4 << 20 })
  const sentAt: number[] = []
  const rttsMs = addresses.map((): number | null => null)
  let awaited = addresses.length
  const finish = () => {
    console.log(JSON.stringify({ rttsMs } satisfies ProbeOutcome))
    socket.close()
    process.exit()
  }
  socket.on('message', (message) => {
    // Addresses are told apart by the number in the datagram: the echo answers from its first address.
    const index = message.readUInt32BE(0)
    if (rttsMs[index] !== null) return
    rttsMs[index] = performance.now() - (sentAt[index] ?? 0)
    if (--awaited === 0) finish()
  })
  socket.bind(0, () => {
    const start = performance.now()
    const ticker = setInterval(() => {
      const due = Math.min(addresses.length, Math.ceil(((performance.now() - start) / 1000) * perSecond))
      while (sentAt.length < due) {
        const number = Buffer.alloc(64)
        number.writeUInt32BE(sentAt.length, 0)
        const address = addresses[sentAt.length]
        sentAt.push(performance.now())
        socket.send(number, port, address, () => undefined) // EHOSTUNREACH counts as no answer
      }
      if (sentAt.length < addresses.length) return
      clearInterval(ticker)
      setTimeout(finish, patienceMs)
    }, 1)
  })
}

const [, , mode, port, perSecond] = process.argv
if (mode === 'echo') echo(Number(port))
if (mode === 'probe') {
  probe(Number(port), Number(perSecond), (await text(process.stdin)).split('\n').filter(Boolean))
}
