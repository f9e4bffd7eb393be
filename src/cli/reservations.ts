import { printAddress } from '../core/overlay/listed-records.ts'
import type { Reservation } from '../core/overlay/reservation.ts'
import { printSubnetKey, printSubnets } from '../core/overlay/subnet-key.ts'
import { printTable } from './table.ts'

/** `tweed reserve --list`. */
export const printReservations = (reservations: readonly Reservation[], json: boolean): string => {
  const rows = reservations.map(({ subnets, record, isUsed }) => {
    return {
      subnet: printSubnets(subnets),
      key: printSubnetKey(subnets),
      publicIp: record ? printAddress(record) : null,
      node: record?.node ?? null,
      state: record ? (isUsed ? 'in use' : 'waiting') : 'malformed',
    }
  })
  return json
    ? JSON.stringify(rows, undefined, 2)
    : printTable(
        ['subnet', 'public ip', 'node', 'state'],
        rows.map((row) => [row.subnet, row.publicIp ?? '', row.node ?? '', row.state]),
      )
}
