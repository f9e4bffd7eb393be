import { setFlagsFromString } from 'node:v8'

/** Flags of V8 for a process that has little to do for years. Early: what has grown does not shrink. */
export const keepHeapSmall = (): void => {
  // The space for young objects stays at its first size, 2 MB. By itself it grows to 32 MB under load and stays so:
  // as much as everything that an agent with 10,000 peers keeps alive.
  setFlagsFromString('--semi-space-growth-factor=1')
  // Some time after it has grown, V8 collects everything three times in a row: 0.15 s of CPU as soon as there is
  // nothing to do, for instance because etcd is away. The first of them finds nearly all that there is. V8 11 is
  // Node 20's; later ones don't know this flag and would say so on stderr.
  if (process.versions.v8.startsWith('11.')) setFlagsFromString('--memory-reducer-single-gc')
}
