import type { Container } from './container.ts'
import type { PingStream } from './ping.ts'

/** What a ping in both directions has lost. */
export interface Loss {
  readonly lost: number
  /** Longest time between two answers, in either direction. */
  readonly longestGapMs: number
}

export interface LossByFamily {
  readonly ipv4: Loss
  readonly ipv6: Loss
}

/** Answers that every ping has to get after the last thing that happened, before they are counted. */
const settled = 20

const none: Loss = { lost: 0, longestGapMs: 0 }
const worse = (a: Loss, b: Loss): Loss => ({
  lost: a.lost + b.lost,
  longestGapMs: Math.max(a.longestGapMs, b.longestGapMs),
})

/** Pings between two containers in every family that they have, while something happens. */
export const lossDuring = async (
  a: Container,
  b: Container,
  happens: () => Promise<unknown>,
): Promise<LossByFamily> => {
  const both = async (toA: string, toB: string): Promise<readonly PingStream[]> =>
    toA === '' ? [] : [await a.pingStream(toB), await b.pingStream(toA)]
  const ipv4 = await both(a.address, b.address)
  const ipv6 = await both(a.address6, b.address6)
  await happens()
  const answered = async (stream: PingStream) => {
    for (let n = 0; n < settled; n++) await stream.nextAnswer()
  }
  await Promise.all([...ipv4, ...ipv6].map(answered))
  const counted = async (streams: readonly PingStream[]) =>
    (await Promise.all(streams.map((stream) => stream.stop()))).reduce<Loss>(worse, none)
  return { ipv4: await counted(ipv4), ipv6: await counted(ipv6) }
}

/** Packets lost in both families, for the many cases that may lose none in any. */
export const lostDuring = async (
  a: Container,
  b: Container,
  happens: () => Promise<unknown>,
): Promise<number> => {
  const { ipv4, ipv6 } = await lossDuring(a, b, happens)
  return ipv4.lost + ipv6.lost
}
