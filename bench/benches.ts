import { bulk } from './benches/bulk.ts'
import { churn } from './benches/churn.ts'
import { coldStartBench } from './benches/cold-start.ts'
import { firstPacketLoaded } from './benches/first-packet-loaded.ts'
import { firstPacket } from './benches/first-packet.ts'
import { idleCpu } from './benches/idle-cpu.ts'
import { memory } from './benches/memory.ts'
import { missStorm } from './benches/miss-storm.ts'
import { oneEvent } from './benches/one-event.ts'
import { startUp } from './benches/start-up.ts'
import { warmRestart } from './benches/warm-restart.ts'
import type { Bench } from './support/bench.ts'

export const benches: readonly Bench[] = [
  bulk,
  coldStartBench,
  warmRestart,
  firstPacket,
  firstPacketLoaded,
  churn,
  oneEvent,
  missStorm,
  memory,
  idleCpu,
  startUp,
]
