import { readFile } from 'node:fs/promises'
import type { ChecksumErrors } from '../../core/checksums.ts'

/** What this namespace has counted since it came to be (RFC 2013, RFC 4022 and Linux's own InCsumErrors). */
export const readChecksumErrors = async (): Promise<ChecksumErrors> => {
  const [snmp, snmp6] = await Promise.all([read('/proc/net/snmp'), read('/proc/net/snmp6')])
  return {
    udp: counter(snmp, 'Udp') + Number(/^Udp6InCsumErrors\s+(\d+)$/m.exec(snmp6)?.[1] ?? 0),
    tcp: counter(snmp, 'Tcp'), // of both families
  }
}

/** Of a protocol there are two lines: the names, and below them the numbers. */
function counter(snmp: string, protocol: string): number {
  const [names, numbers] = snmp
    .split('\n')
    .filter((line) => line.startsWith(`${protocol}: `))
    .map((line) => line.split(' '))
  return Number(numbers?.[names?.indexOf('InCsumErrors') ?? -1] ?? 0)
}

/** Without IPv6 there is no snmp6. */
const read = (path: string): Promise<string> => readFile(path, 'utf8').catch(() => '')
