// Runs the test rings from the cheapest to the dearest and ends with one line: `N passed, N failed`.
//   npm test                            everything
//   npm test -- unit property           these rings
//   npm test -- netns --grep 'kill -9'  in these rings, the tests whose name matches
import { spawnSync } from 'node:child_process'
import { existsSync, mkdtempSync, readFileSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { parseArgs } from 'node:util'
import { enclosed, enclosedEnvironment, whyNoEnclosure } from './enclosure.mjs'

const root = resolve(import.meta.dirname, '..')
const bin = (name) => join(root, 'node_modules', '.bin', name)

/** A check passes or fails as a whole. */
const checks = [
  ['types of the program', [bin('tsc'), '-p', 'tsconfig.json', '--noEmit']],
  ['types of tests and tools', [bin('tsc'), '-p', 'tsconfig.test.json', '--noEmit']],
  ['lint, with the layer rule', [bin('eslint'), '.']],
  ['format', [bin('prettier'), '--check', '--log-level', 'warn', '.']],
]
const rings = {
  lint: { about: 'types, lint, format' },
  unit: { about: 'one piece at a time', timeoutMs: 10_000 },
  property: { about: 'laws, on generated values', timeoutMs: 60_000 },
  scenarios: { about: 'histories and the tables they lead to', timeoutMs: 60_000 },
  netns: { about: 'Linux, etcd and packets, in namespaces', timeoutMs: 120_000, enclosed: true },
}
const none = { passed: 0, failed: 0 }
const plus = (a, b) => ({ passed: a.passed + b.passed, failed: a.failed + b.failed })

const run = ([program, ...args], env = process.env) =>
  spawnSync(program, args, { cwd: root, stdio: 'inherit', env }).status === 0

const runChecks = () =>
  checks
    .map(([name, command]) => {
      const ok = run(command)
      console.log(`  ${ok ? '✔' : '✘'} ${name}`)
      return ok ? { passed: 1, failed: 0 } : { passed: 0, failed: 1 }
    })
    .reduce(plus)

const testFiles = (name) =>
  existsSync(join(root, 'test', name))
    ? readdirSync(join(root, 'test', name), { recursive: true }).filter((file) => file.endsWith('.test.ts'))
    : []

const runRing = (name, { timeoutMs, enclosed: inside = false }, grep) => {
  if (testFiles(name).length === 0) return none
  const refusal = inside ? whyNoEnclosure() : undefined
  if (refusal !== undefined) {
    console.error(`  ✘ ${refusal}`)
    return { passed: 0, failed: 1 }
  }
  const folder = mkdtempSync(join(tmpdir(), 'tweed-test-'))
  const tally = join(folder, 'tally.json')
  const mocha = [
    ...[process.execPath, join(root, 'node_modules/mocha/bin/mocha.js')],
    ...['--timeout', String(timeoutMs), `test/${name}/**/*.test.ts`],
    ...(grep === undefined ? [] : ['--grep', grep]),
  ]
  const ok = run(inside ? enclosed(mocha) : mocha, { ...enclosedEnvironment(), TWEED_TALLY: tally })
  const counted = existsSync(tally) ? JSON.parse(readFileSync(tally, 'utf8')) : none
  rmSync(folder, { recursive: true })
  // A ring that dies before it counts, or after, has failed even if no test of it has.
  return ok || counted.failed > 0 ? counted : plus(counted, { passed: 0, failed: 1 })
}

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { grep: { type: 'string', short: 'g' }, help: { type: 'boolean', short: 'h' } },
})
const unknown = positionals.filter((name) => !(name in rings))
if (values.help || unknown.length > 0) {
  if (unknown.length > 0) console.error(`no such ring: ${unknown.join(', ')}`)
  console.log('npm test -- [ring…] [--grep pattern]')
  for (const [name, ring] of Object.entries(rings)) console.log(`  ${name.padEnd(10)} ${ring.about}`)
  process.exit(unknown.length > 0 ? 2 : 0)
}

let total = none
for (const [name, ring] of Object.entries(rings)) {
  if (positionals.length > 0 ? !positionals.includes(name) : name === 'lint' && values.grep) continue
  console.log(`\n${name}: ${ring.about}`)
  total = plus(total, name === 'lint' ? runChecks() : runRing(name, ring, values.grep))
}
if (total.passed + total.failed === 0) {
  console.error('no test ran')
  total = { passed: 0, failed: 1 }
}
console.log(`\n${total.passed} passed, ${total.failed} failed`)
process.exitCode = total.failed === 0 ? 0 : 1
