const percentile = (sorted: readonly number[], share: number): number =>
  sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? Number.NaN

/** Round-trip times for a person to read. */
export const figures = (rttsMs: readonly number[]): string => {
  const sorted = rttsMs.toSorted((a, b) => a - b)
  const [p50, p99, max] = [0.5, 0.99, 1].map((share) => percentile(sorted, share).toFixed(2))
  return `p50 ${p50} p99 ${p99} max ${max} ms`
}
