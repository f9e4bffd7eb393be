import { Millis } from '../../core/time.ts'
import type { Clock } from '../../ports/clock.ts'

/** CLOCK_MONOTONIC. */
export const systemClock: Clock = {
  now: () => Millis.of(performance.now()),
  random: () => Math.random(),
}

/** A point of {@link systemClock} as wall-clock time, ISO 8601. */
export const wallTime = (at: number): string => new Date(performance.timeOrigin + at).toISOString()
