// Random sequences of faults, inside an enclosure, until the time is over or something differs:
//   node tools/enclose.mjs node --import tsx test/netns/faults/long.ts --minutes 10 [--seed N]
import { parseArgs } from 'node:util'
import { FaultLab } from '../../support/faults/fault-lab.ts'
import { draw, randomFaults } from '../../support/faults/random-faults.ts'
import { seeded } from '../../support/faults/seeded.ts'

const { values } = parseArgs({
  options: { minutes: { type: 'string', default: '10' }, seed: { type: 'string' } },
})
const seed = Number(values.seed ?? Math.floor(Math.random() * 2 ** 32))
const until = performance.now() + Number(values.minutes) * 60_000
console.log(`--seed ${seed}`)
// The sequence has numbers of its own: the writer draws as many as time allows.
const random = seeded(seed)
const lab = await FaultLab.create({ random: seeded(seed + 1) })
const faults = randomFaults(lab)
let rounds = 0
try {
  while (performance.now() < until) {
    const names = Array.from({ length: 1 + draw(random, 3) }, () => draw(random, faults.length))
    const pick = random()
    const told = names.map((i) => faults[i]?.name ?? '').join(', ')
    process.stdout.write(`${++rounds}: ${told} … `)
    const start = performance.now()
    await lab.row(async () => {
      for (const i of names) await faults[i]?.happen(seeded(Math.floor(pick * 2 ** 32)))
    })
    console.log(`${((performance.now() - start) / 1000).toFixed(1)} s`)
    if (rounds % 20 === 0) await lab.ping()
  }
  console.log(`${rounds} rounds passed`)
} catch (error) {
  console.log(`\nround ${rounds} failed; --seed ${seed} plays it again\n${String(error)}`)
  for (const { name, agent } of lab.hosts) console.log(`${name}\n${agent?.logs.slice(-15).join('\n') ?? ''}`)
  process.exitCode = 1
} finally {
  await lab.destroy()
}
