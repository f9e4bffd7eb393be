import type { StoredRecord } from '../../core/overlay/record.ts'
import type { SavedState } from '../../ports/host.ts'

/** A few milliseconds of work each. */
const recordsInPart = 500

/** The peer file in parts: ten thousand records are three megabytes, which nobody should have to wait for. */
export function* printPeers(records: readonly StoredRecord[]): Generator<string> {
  yield '['
  for (let i = 0; i < records.length; i += recordsInPart) {
    const part = JSON.stringify(records.slice(i, i + recordsInPart))
    yield `${i === 0 ? '' : ','}${part.slice(1, -1)}`
  }
  yield ']\n'
}

/** A file that is damaged counts as absent: everything in it can be had again from etcd and the kernel. */
export const parseState = (text: string | undefined): SavedState | undefined => {
  const state = parse(text)
  return isSavedState(state) ? state : undefined
}

export const parsePeers = (text: string | undefined): readonly StoredRecord[] => {
  const records = parse(text)
  return Array.isArray(records) ? records.filter(isStoredRecord) : []
}

function parse(text: string | undefined): unknown {
  if (text === undefined) return undefined
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

type Shape = Readonly<Record<string, 'string' | 'number'>>

const has = (value: unknown, shape: Shape): boolean =>
  typeof value === 'object' &&
  value !== null &&
  Object.entries(shape).every(([key, type]) => typeof (value as Record<string, unknown>)[key] === type)

const isSavedState = (value: unknown): value is SavedState =>
  has(value, { node: 'string', publicIp: 'string', device: 'string', vtepMac: 'string' }) &&
  ((value as SavedState).ipv6 === undefined ||
    has((value as SavedState).ipv6, { publicIp: 'string', device: 'string', vtepMac: 'string' })) &&
  has((value as SavedState).config, { value: 'string', modRevision: 'number' }) &&
  has((value as SavedState).lease, { key: 'string', leaseId: 'string', modRevision: 'number' })

const isStoredRecord = (value: unknown): value is StoredRecord =>
  has(value, {
    key: 'string',
    value: 'string',
    createRevision: 'number',
    modRevision: 'number',
    leaseId: 'string',
  })
