// The table engine by itself, in the namespace that it is started in: write-rows.ts <interface index>
// Commands on standard input: `<add|del> <kind> <count>`; the answer is a line of JSON.
import { readFileSync } from 'node:fs'
import { createInterface } from 'node:readline'
import { lastValueFrom } from 'rxjs'
import { openKernel } from '../../src/adapters/netlink/kernel.ts'
import { Tables } from '../../src/core/kernel/tables.ts'
import { Millis } from '../../src/core/time.ts'
import { numbers, type RowKind, rowOf } from '../support/peers.ts'

const link = Number(process.argv[2])
const kernel = openKernel()
const tables = new Tables()

/** Of the main thread alone: proc(5), schedstat, in ns. */
const cpuMs = () => Number(readFileSync('/proc/thread-self/schedstat', 'utf8').split(' ')[0]) / 1e6

/** As streams/reconcile.ts does it: what is owed, a datagram at a time, until nothing is. */
const flush = async () => {
  let refused = 0
  let slowestMs = 0
  const cpu = cpuMs()
  const start = performance.now()
  for (;;) {
    const before = performance.now()
    const ops = tables.take(Millis.of(before), { limit: kernel.room, prune: true })
    if (ops.length === 0) break
    const refusals = await lastValueFrom(kernel.apply$(ops))
    slowestMs = Math.max(slowestMs, performance.now() - before)
    refused += refusals.length
    for (const { op, fault } of refusals) tables.refused(op, fault, Millis.of(before))
  }
  return { ms: performance.now() - start, cpuMs: cpuMs() - cpu, slowestMs, refused }
}

console.log('ready')
for await (const line of createInterface({ input: process.stdin })) {
  const [verb = '', kind = '', count = ''] = line.split(' ')
  const rows = numbers(Number(count)).map((i) => rowOf(kind as RowKind, i, link))
  for (const row of rows)
    if (verb === 'add') tables.want(row)
    else tables.unwant(row)
  console.log(JSON.stringify(await flush()))
}
kernel.close()
