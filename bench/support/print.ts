import type { Bar, Bench, Findings } from './bench.ts'
import type { Machine } from './machine.ts'

const printBar = (bar: Bar): string => ('atMost' in bar ? `at most ${bar.atMost}` : `at least ${bar.atLeast}`)

/** A result for people. */
export const print = (bench: Bench, result: Findings & { readonly machine: Machine }): void => {
  const { cpu, cores, kernel, node, load } = result.machine
  console.log(`\n${bench.name}: ${bench.about}, against ${bench.yardstick}`)
  console.log(`  ${cores} × ${cpu}, Linux ${kernel}, Node ${node}, load ${load.toFixed(1)}\n`)
  const width = Math.max(0, ...[...result.figures, ...result.ratios].map(({ name }) => name.length))
  for (const { name, unit, median, min, max, samples } of result.figures)
    console.log(`  ${name.padEnd(width)}  ${median} ${unit} (${min} to ${max}, ${samples.length} samples)`)
  if (result.ratios.length > 0) console.log('')
  for (const { name, value, min, max, bar, met } of result.ratios) {
    const verdict = bar ? `  ${met === true ? '✔' : '✘'} ${printBar(bar)}` : ''
    console.log(`  ${name.padEnd(width)}  ${value} (${min} to ${max})${verdict}`)
  }
  for (const note of result.notes ?? []) console.log(`\n  ${note}`)
}
