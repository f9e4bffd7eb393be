// Runs a command in an enclosure, as the tests in namespaces are run: node tools/enclose.mjs <command>…
import { spawnSync } from 'node:child_process'
import { enclosed, enclosedEnvironment, whyNoEnclosure } from './enclosure.mjs'

const refusal = whyNoEnclosure()
if (refusal !== undefined) {
  console.error(refusal)
  process.exit(1)
}
const [program, ...args] = enclosed(process.argv.slice(2))
process.exitCode = spawnSync(program, args, { stdio: 'inherit', env: enclosedEnvironment() }).status ?? 1
