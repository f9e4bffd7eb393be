import type { Branded } from '../brand.ts'

/** An EUI-48 address as the number that its 48 bits make (a double holds 53), so that it is a map key. */
export type Mac = Branded<number, 'Mac'>

const OCTET = 2 ** 40 // value of the first octet's lowest bit

export const Mac = {
  of: (bits: number): Mac | undefined =>
    Number.isInteger(bits) && bits >= 0 && bits < 2 ** 48 ? (bits as Mac) : undefined,

  /** Six pairs of hexadecimal digits with colons or dashes. */
  parse: (text: string): Mac | undefined => {
    const separator = text[2]
    if (text.length !== 17 || (separator !== ':' && separator !== '-')) return undefined
    let bits = 0
    for (let i = 0; i < 17; i++) {
      if (i % 3 === 2) {
        if (text[i] !== separator) return undefined
        continue
      }
      const digit = hexDigit(text.charCodeAt(i))
      if (digit === undefined) return undefined
      bits = bits * 16 + digit
    }
    return bits as Mac
  },

  print: (mac: Mac): string =>
    mac
      .toString(16)
      .padStart(12, '0')
      .replace(/..(?=.)/g, '$&:'),

  /** Addresses one station: neither group (I/G bit, IEEE 802-2014 §8.2) nor zero. */
  isUnicast: (mac: Mac): boolean => mac !== 0 && Math.floor(mac / OCTET) % 2 === 0,

  /** From six octets of entropy: the locally administered bit set, the group bit cleared. */
  local: (octets: readonly number[]): Mac => {
    const bits = octets.slice(0, 6).reduce((sum, octet) => sum * 256 + (octet & 255), 0)
    const first = Math.floor(bits / OCTET)
    return (bits - first * OCTET + ((first & 0xfc) | 0x02) * OCTET) as Mac
  },
} as const

const hexDigit = (code: number): number | undefined => {
  if (code >= 48 && code <= 57) return code - 48 // 0 to 9
  const letter = code | 32 // lower case
  return letter >= 97 && letter <= 102 ? letter - 87 : undefined // a to f
}
