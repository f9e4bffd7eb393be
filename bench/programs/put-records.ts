// Puts records at full speed, one request each: put-records.ts <endpoint> <in flight>
// Standard input: a line of JSON, the records. Answers `ready` when it has them and is connected; `go` begins, and
// the answer is a line of JSON.
import { createInterface } from 'node:readline'
import { Etcd3 } from 'etcd3'
import type { PeerRecord } from '../support/peers.ts'
import { nowMs } from '../support/row-watch.ts'

const [, , endpoint = '', inFlight = ''] = process.argv
const etcd = new Etcd3({ hosts: endpoint })
let records: PeerRecord[] = []

for await (const line of createInterface({ input: process.stdin })) {
  if (line === 'go') {
    const startMs = nowMs()
    const worker = async () => {
      for (let record = records.shift(); record; record = records.shift())
        await etcd.put(record.key).value(record.value)
    }
    await Promise.all(Array.from({ length: Number(inFlight) }, worker))
    console.log(JSON.stringify({ startMs, endMs: nowMs() }))
  } else {
    records = JSON.parse(line) as PeerRecord[]
    await etcd.get('connected?')
    console.log('ready')
  }
}
etcd.close()
