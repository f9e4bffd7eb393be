// Writes docs/faults.md from the rows of the fault matrix:
//   node --import tsx test/support/faults/page.ts
import { writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { faultRows } from './rows.ts'

const line = (cells: readonly string[]): string =>
  `| ${cells.map((text) => text.replaceAll('|', '\\|')).join(' | ')} |`
const table = (header: readonly string[], rows: readonly (readonly string[])[]): string =>
  [header, header.map(() => '---'), ...rows].map(line).join('\n')

/** The text of docs/faults.md. */
export const faultPage =
  (): string => `<!-- Generated from test/support/faults/rows.ts by \`node --import tsx test/support/faults/page.ts\`. Change it there. -->

# When etcd is in trouble

Hosts that know each other go on forwarding whatever happens to etcd: each row of this table is a test with continuous
pings between containers of three hosts, of which none may be lost, with sixty peers that come, change and go at fifty
writes a second, and with a comparison of etcd, agents and kernels at the end, which must find no difference. What can't
go on without etcd: learning of new hosts, and giving subnets to them. Codes are explained in [errors](errors.md).

## What you see, for how long, and what to do

${table(
  ['', 'fault', 'what you see', 'for how long', 'what to do'],
  faultRows.map(({ number, fault, seen, lasts, todo }) => [String(number), fault, seen, lasts, todo]),
)}

Rows 28 to 31 of the matrix concern the data plane alone: device, foreign edits, underlay.

## How it is tested

${table(
  ['', 'injected by'],
  faultRows.map(({ number, injected }) => [String(number), injected]),
)}

\`npm test -- netns --grep 'etcd under fault'\` runs all rows, \`--grep 'row 12:'\` one. Random sequences, for as long
as wanted:

    node tools/enclose.mjs node --import tsx test/netns/faults/long.ts --minutes 10

It prints its seed; the same sequence follows from \`--seed N\`. What etcd and the kernel make of it in time differs from
run to run.
`

if (process.argv[1] === fileURLToPath(import.meta.url))
  writeFileSync(new URL('../../../docs/faults.md', import.meta.url), faultPage())
