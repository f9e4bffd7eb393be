import type { StoredRecord } from './record.ts'

/**
 * What a watch has missed: records of a later list that it should have told of, since they are not newer than what
 * it told of last, and differ from what we hold. 0, unless somebody has a bug; deletions can't be dated and don't count.
 */
export const missedByWatch = (
  held: readonly StoredRecord[],
  listed: readonly StoredRecord[],
  watchedRevision: number,
): number => {
  const heldByKey = new Map(held.map((record) => [record.key, record.modRevision]))
  return listed.filter((r) => r.modRevision <= watchedRevision && heldByKey.get(r.key) !== r.modRevision)
    .length
}
