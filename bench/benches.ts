import { bulk } from './benches/bulk.ts'
import type { Bench } from './support/bench.ts'

export const benches: readonly Bench[] = [bulk]
