import { Fault, faultCodes } from '../../core/fault.ts'

/** How a run of `nft` ended that did not do what it was told. */
export interface NftFailure {
  /** The program could not be started: ENOENT and the like. */
  readonly code?: unknown
  readonly killed?: boolean
  readonly stderr: string
}

const patterns: readonly (readonly [RegExp, (words: string) => Fault])[] = [
  [/Operation not permitted/, (words) => Fault.of('kernel-denied', `${words}; ${faultCodes['kernel-denied']}`)],
  [/JSON support not compiled-in/, (words) => Fault.of('nft-missing', `${words}: this nft can't read JSON`)],
  [/Could not process rule: (No such file|File exists)|Interrupted|Resource|busy/i, (words) => Fault.of('kernel-busy', words)],
  [/^nft: Error: No such file or directory/, (words) => Fault.of('kernel-busy', words)], // gone since it was listed
] // prettier-ignore

export const faultOf = ({ code, killed, stderr }: NftFailure): Fault => {
  if (code === 'ENOENT' || code === 'EACCES') return Fault.of('nft-missing')
  if (killed) return Fault.of('netlink-timeout', 'nft did not end in time')
  // Of each error the first line says what; the others repeat the command.
  const words = `nft: ${stderr.trim().split('\n')[0] ?? ''}`
  const [, make] = patterns.find(([pattern]) => pattern.test(words)) ?? []
  return make?.(words) ?? Fault.of('kernel-refused', words)
}
