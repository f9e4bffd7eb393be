import { bulk } from './benches/bulk.ts'
import { churn } from './benches/churn.ts'
import { coldStartBench } from './benches/cold-start.ts'
import { idleCpu } from './benches/idle-cpu.ts'
import { memory } from './benches/memory.ts'
import { oneEvent } from './benches/one-event.ts'
import { startUp } from './benches/start-up.ts'
import { warmRestart } from './benches/warm-restart.ts'
import type { Bench } from './support/bench.ts'

export const benches: readonly Bench[] = [
  bulk,
  coldStartBench,
  warmRestart,
  churn,
  oneEvent,
  memory,
  idleCpu,
  startUp,
]
