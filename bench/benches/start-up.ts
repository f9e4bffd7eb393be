import { type Bench, inTurn, numberOf, ratio, Samples } from '../support/bench.ts'
import { BenchLab } from '../support/bench-lab.ts'
import { nowMs } from '../support/row-watch.ts'
import { run } from '../../test/support/process.ts'
import { knows } from '../support/wait.ts'

export const startUp: Bench = {
  name: 'start-up',
  about: 'whole runs of `tweed --help` and of `tweed status` beside a running agent',
  yardstick: '`node -e 0`',
  parameters: { rounds: '30', peers: '100' },
  run: async (given) => {
    const samples = new Samples()
    const bench = await BenchLab.create()
    const peers = numberOf(given, 'peers')
    await bench.putPeers(peers)
    await bench.host.startAgent()
    await knows(bench.host, peers)
    const program = new URL('../../dist/main.js', import.meta.url).pathname
    const time =
      (name: string, ...args: readonly string[]) =>
      async () => {
        const before = nowMs()
        const { code, stderr } = await run([process.execPath, ...args])
        samples.add(name, nowMs() - before)
        if (code !== 0) throw new Error(`${name}: exit ${String(code)}\n${stderr}`)
      }
    const contenders = {
      node: time('node -e 0', '-e', '0'),
      help: time('tweed --help', program, '--help'),
      status: time('tweed status', program, 'status', '--run-dir', bench.host.paths.runDir),
    }
    await inTurn(2, contenders)
    samples.clear()
    await inTurn(numberOf(given, 'rounds'), contenders)
    await bench.destroy()
    const node = samples.of('node -e 0')
    return {
      figures: samples.figures('ms'),
      ratios: ['tweed --help', 'tweed status'].map((name) =>
        ratio(`${name}: times node -e 0`, samples.of(name), node, { atMost: 3 }),
      ),
    }
  },
}
