import { bulk } from './benches/bulk.ts'
import { coldStartBench } from './benches/cold-start.ts'
import type { Bench } from './support/bench.ts'

export const benches: readonly Bench[] = [bulk, coldStartBench]
