import { concatMap, firstValueFrom, map, type Observable, of, retry, throwError } from 'rxjs'
import type { Invocation } from '../cli/program.ts'
import { printReservations } from '../cli/reservations.ts'
import { SettingError } from '../config/load.ts'
import { Ip } from '../core/net/ip.ts'
import { printAddress } from '../core/overlay/listed-records.ts'
import { parseNetworkConfig, type NetworkConfig } from '../core/overlay/network-config.ts'
import type { LeaseRecord, SubnetKey } from '../core/overlay/record.ts'
import {
  planRelease,
  planReservation,
  type RecordWrite,
  type ReservedFor,
  reservationsIn,
} from '../core/overlay/reservation.ts'
import { parseSubnets, printSubnetKey, printSubnets } from '../core/overlay/subnet-key.ts'
import { printComplaint } from '../core/parsed.ts'
import type { LeaseStore, StoreView } from '../ports/lease-store.ts'
import { settingsOf } from './settings.ts'
import { storeOfNetwork$ } from '../streams/store-of.ts'
import { openStore } from './world.ts'

/** What was done, as `--json` prints it. */
interface Told {
  readonly result: 'reserved' | 'unchanged' | 'released'
  readonly subnet: string
  readonly key: string
  readonly publicIp: string
  readonly node: string | null
  readonly notes: readonly string[]
}

export const reserve = async (invocation: Invocation): Promise<number> => {
  const act = actionOf(invocation)
  const store = await openStore(settingsOf(invocation))
  try {
    return await act(await firstValueFrom(storeOfNetwork$(store)))
  } finally {
    store.close()
  }
}

type Action = (store: LeaseStore) => Promise<number>

/** Says what is wrong with the command line before etcd is asked. */
const actionOf = ({ args, options, json }: Invocation): Action => {
  const [subnet] = args
  const { for: host, list, release } = options
  const wanted = [subnet, list, release].filter((given) => given !== undefined)
  if (wanted.length !== 1)
    throw new SettingError('reserve takes one of: a subnet with --for <host>, --release <subnet>, --list')
  if (subnet !== undefined) {
    if (host === undefined)
      throw new SettingError(`reserve ${subnet} needs --for <host>: whom to keep it for`)
    const [subnets, to] = [subnetsOf('subnet', subnet), hostOf(host)]
    return (store) => firstValueFrom(reserve$(store, subnets, to)).then((told) => tell(told, json))
  }
  if (host !== undefined)
    throw new SettingError('--for goes with a subnet: tweed reserve <subnet> --for <host>')
  if (release === undefined)
    return (store) => firstValueFrom(view$(store)).then((view) => listAll(view, json))
  const subnets = subnetsOf('--release', release)
  return (store) => firstValueFrom(release$(store, subnets)).then((told) => tell(told, json))
}

const subnetsOf = (name: string, text: string): SubnetKey => {
  const subnets = parseSubnets(text)
  if (subnets) return subnets
  throw new SettingError(
    `${name} is ${JSON.stringify(text)}: it must be a subnet without host bits such as 10.5.7.0/24, or 10.5.7.0/24,fc00:0:0:7::/64`,
  )
}

const hostOf = (text: string): ReservedFor => {
  const address = Ip.parse(text)
  if (address !== undefined) return { address }
  // What looks like an address and is none would else be looked for among the ids.
  if (/^[\x21-\x7e]{1,128}$/.test(text) && !/^[\d.]+$|[:/]/.test(text)) return { node: text }
  throw new SettingError(
    `--for is ${JSON.stringify(text)}: it must be the public address of a host, or its id (node in tweed status)`,
  )
}

/** Somebody else wrote in between: the plan is made anew, from what stands there now. */
class ChangedMeanwhile extends Error {
  constructor() {
    super('the record changed again and again while it was written: try again')
  }
}
const replanned$ = <T>(attempt$: Observable<T>): Observable<T> =>
  attempt$.pipe(
    retry({
      count: 5,
      delay: (error: unknown) => (error instanceof ChangedMeanwhile ? of(0) : throwError(() => error)),
    }),
  )

interface View extends StoreView {
  readonly network: NetworkConfig
}

const view$ = (store: LeaseStore): Observable<View> =>
  store.read$().pipe(
    map((view) => {
      if (!view.config)
        throw new Error('there is no network configuration yet; write one with tweed network set')
      const parsed = parseNetworkConfig(view.config.value)
      if (parsed.kind === 'invalid') throw new Error(`the network configuration: ${printComplaint(parsed)}`)
      return { ...view, network: parsed.value }
    }),
  )

const reserve$ = (store: LeaseStore, subnets: SubnetKey, host: ReservedFor): Observable<Told> =>
  replanned$(
    view$(store).pipe(
      concatMap((view) => {
        const plan = planReservation({ config: view.network, records: view.records }, subnets, host)
        if (plan.kind === 'refused') throw new Error(plan.why)
        const { write, record, notes } = plan
        if (!write) return of(told('unchanged', subnets, record, notes))
        const configRevision = view.config?.modRevision
        return put$(store, { ...write, leaseId: '0', configRevision }).pipe(
          map(() => told('reserved', subnets, record, notes)),
        )
      }),
    ),
  )

/** As long as flannel's: a host that runs keeps it alive from then on. */
const releasedLeaseSeconds = 86_400

const release$ = (store: LeaseStore, subnets: SubnetKey): Observable<Told> =>
  replanned$(
    view$(store).pipe(
      concatMap((view) => {
        const plan = planRelease({ config: view.network, records: view.records }, subnets)
        switch (plan.kind) {
          case 'refused':
            throw new Error(plan.why)
          case 'delete':
            return delete$(store, plan).pipe(map(() => told('released', subnets, plan.record, [])))
          case 'lease':
            return store.grant$(releasedLeaseSeconds).pipe(
              concatMap((leaseId) => put$(store, { ...plan.write, leaseId, configRevision: undefined })),
              map(() =>
                told('released', subnets, plan.record, [
                  'the host goes on with it under a lease, and gives it back when it leaves',
                ]),
              ),
            )
        }
      }),
    ),
  )

const put$ = (
  store: LeaseStore,
  write: RecordWrite & { readonly leaseId: string; readonly configRevision: number | undefined },
): Observable<void> =>
  store.claim$(write).pipe(
    map((result) => {
      if (result.kind !== 'claimed') throw new ChangedMeanwhile()
    }),
  )

/** A record that the host has taken in between is not deleted, and no answer says so. */
const delete$ = (
  store: LeaseStore,
  { key, modRevision }: { readonly key: string; readonly modRevision: number },
): Observable<void> =>
  store.release$(key, modRevision).pipe(
    concatMap(() => store.read$()),
    map(({ records }) => {
      if (records.some((record) => record.key === key)) throw new ChangedMeanwhile()
    }),
  )

const told = (
  result: Told['result'],
  subnets: SubnetKey,
  record: LeaseRecord,
  notes: readonly string[],
): Told => ({
  result,
  subnet: printSubnets(subnets),
  key: printSubnetKey(subnets),
  publicIp: printAddress(record),
  node: record.node ?? null,
  notes,
})

const words = {
  reserved: 'is reserved for',
  unchanged: 'was reserved already, for',
  released: 'is no longer reserved for',
}

const tell = (what: Told, json: boolean): number => {
  const { result, subnet, publicIp, node, notes } = what
  if (json) process.stdout.write(`${JSON.stringify(what, undefined, 2)}\n`)
  else {
    const host = node === null ? publicIp : `${node} (${publicIp})`
    process.stdout.write(`${subnet} ${words[result]} ${host}\n`)
    for (const note of notes) process.stderr.write(`note: ${note}\n`)
  }
  return 0
}

const listAll = ({ network, records }: View, json: boolean): number => {
  const all = reservationsIn({ config: network, records })
  process.stdout.write(`${printReservations(all, json)}\n`)
  return 0
}
