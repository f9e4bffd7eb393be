/**
 * Everything that can go wrong in the world outside, as a value.
 * Adapters make them from foreign errors, each in one `faults.ts`; `docs/errors.md` says what each means.
 */
export interface Fault {
  readonly kind: 'fault'
  readonly code: FaultCode
  /** Trying the same again may help. */
  readonly transient: boolean
  /** The kernel's, etcd's or our own words. */
  readonly message: string
}

/** Every code, with its meaning; the order is that of `docs/errors.md`. */
export const faultCodes = {
  'etcd-unreachable': 'no etcd endpoint answered in time',
  'etcd-no-leader': 'the etcd member has lost its leader',
  'etcd-denied': 'etcd refused the credentials or the permission',
  'etcd-compacted': 'the wanted revision is compacted; a new snapshot follows',
  'etcd-refused': 'etcd refused the request',
  'config-missing': 'there is no network configuration in etcd yet',
  'config-invalid': 'the network configuration in etcd breaks a rule; the last good one stays in force',
  'config-announced':
    'the network configuration changed in a way that containers would notice; the old one stays in force',
  'config-changed': 'the network configuration changed while a subnet was chosen; it is chosen again',
  'subnets-exhausted': 'every subnet of the network is taken',
  'lease-lost': 'etcd says that our lease or key is gone; it is claimed again',
  'lease-conflict': 'another host owns our subnet or our public address',
  'subnet-unfit': 'the subnet that --subnet names does not fit the network',
  'peers-held': 'many peers vanished at once; their entries are held',
  'link-conflict': 'a device of our name exists and is not ours to change',
  'route-conflict': 'a route of somebody else stands where ours belongs',
  'row-fight': 'another program changes a row of ours again and again',
  'kernel-refused': 'the kernel refused an entry',
  'kernel-busy': 'the kernel refused an entry for the moment',
  'kernel-denied': 'the capability CAP_NET_ADMIN is missing',
  'netlink-overrun': 'notifications were lost; the tables are dumped again',
  'netlink-timeout': 'the kernel did not answer a request in time',
  'forwarding-off': 'forwarding is off and could not be switched on',
  'forward-dropped': 'a forward chain of somebody else drops packets of the overlay',
  'checksum-errors': 'packets arrive with wrong checksums, and are dropped',
  'nft-missing': 'the program nft was not found',
  'underlay-missing': 'no usable underlay interface was found',
  'state-unwritable': 'the state directory could not be written',
} as const

export type FaultCode = keyof typeof faultCodes

const transientCodes: ReadonlySet<FaultCode> = new Set([
  'etcd-unreachable', 'etcd-no-leader', 'etcd-compacted', 'config-missing', 'config-changed', 'subnets-exhausted', 'lease-lost',
  'kernel-busy', 'netlink-overrun', 'netlink-timeout', 'underlay-missing', 'peers-held',
]) // prettier-ignore

export const Fault = {
  of: (code: FaultCode, message: string = faultCodes[code]): Fault => ({
    kind: 'fault',
    code,
    transient: transientCodes.has(code),
    message,
  }),
  is: (value: unknown): value is Fault =>
    typeof value === 'object' && value !== null && (value as { kind?: unknown }).kind === 'fault',
} as const
