/** What became of a miss; each is a counter. The order is that of `tweed status`. */
export const missResults = [
  /** First ask for a host: the asker was answered, and the host's own rows follow. */
  'promoted',
  /** The host was in use already: the asker was answered once more. */
  'answered',
  /** No peer owns the address: silence. */
  'stranger',
  /** An address of this host: silence. */
  'own',
  /** The same address was answered a moment ago. */
  'throttled',
  /** The global limit is reached; the kernel asks again in a second. */
  'limited',
  /** Nothing can be answered yet: no device, no subnet. */
  'not-ready',
] as const

export type MissResult = (typeof missResults)[number]

export type MissCounts = Readonly<Record<MissResult, number>>

export const noMisses = (): Record<MissResult, number> => ({
  promoted: 0,
  answered: 0,
  stranger: 0,
  own: 0,
  throttled: 0,
  limited: 0,
  'not-ready': 0,
})
