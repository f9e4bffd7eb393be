// npm run bench -- <name|all> [--json] [--<parameter> <value>]…: how fast, against what, on this machine.
import { spawnSync } from 'node:child_process'
import { parseArgs } from 'node:util'
import { enclosed, enclosedEnvironment, isEnclosed, whyNoEnclosure } from '../tools/enclosure.mjs'
import { benches } from './benches.ts'
import type { Bench } from './support/bench.ts'
import { machine, withNeighbourBound } from './support/machine.ts'
import { print } from './support/print.ts'

const list = () => {
  console.log('npm run bench -- <name|all> [--json] [--<parameter> <value>]…\n')
  for (const { name, about, yardstick, parameters } of benches) {
    const flags = Object.entries(parameters).map(([flag, value]) => `--${flag} ${value}`)
    console.log(`${name.padEnd(20)} ${about}\n${' '.repeat(21)}against ${yardstick}`)
    if (flags.length > 0) console.log(' '.repeat(21) + flags.join(' '))
  }
}

const runOne = async (bench: Bench, given: Readonly<Record<string, string>>, asJson: boolean) => {
  const parameters = { ...bench.parameters, ...given }
  const before = machine()
  const say = (line: string) => process.stderr.write(`${bench.name}: ${line}\n`)
  const findings = await bench.run({ parameters, say })
  const result = { bench: bench.name, at: new Date().toISOString(), machine: before, parameters, ...findings }
  if (asJson) console.log(JSON.stringify(result))
  else print(bench, result)
}

const main = async (): Promise<number> => {
  const flags = new Set(benches.flatMap(({ parameters }) => Object.keys(parameters)))
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      json: { type: 'boolean' },
      ...Object.fromEntries([...flags].map((flag) => [flag, { type: 'string' } as const])),
    },
  })
  const { json = false, ...given } = values as { json?: boolean } & Record<string, string>
  const chosen = positionals.includes('all')
    ? benches
    : benches.filter(({ name }) => positionals.includes(name))
  if (positionals.length === 0) {
    list()
    return 0
  }
  const unknown = positionals.filter(
    (name) => name !== 'all' && !benches.some((bench) => bench.name === name),
  )
  if (unknown.length > 0) {
    console.error(`no such bench: ${unknown.join(', ')}`)
    return 2
  }
  if (isEnclosed()) {
    for (const bench of chosen) await runOne(bench, given, json)
    return 0
  }
  const refusal = whyNoEnclosure()
  if (refusal !== undefined) {
    console.error(`The benches need namespaces of their own, and ${refusal}`)
    return 1
  }
  const [program, ...args] = enclosed([process.execPath, '--import', 'tsx', ...process.argv.slice(1)])
  return withNeighbourBound(
    given['gc-thresh'] ?? '',
    () => spawnSync(program, args, { stdio: 'inherit', env: enclosedEnvironment() }).status ?? 1,
  )
}

// Also where a bench that failed has left something running: it goes with the enclosure.
process.exit(
  await main().catch((error: unknown) => {
    console.error(error)
    return 1
  }),
)
