/** A row of the fault matrix: what happens, how it is done here, and what a user sees of it. */
export interface FaultRow {
  readonly number: number
  readonly fault: string
  /** How the tests bring it about; for what can't be, why not, and what is tested in its stead. */
  readonly injected: string
  /** Reasons in `tweed status` and events in the log. */
  readonly seen: string
  readonly lasts: string
  readonly todo: string
}

const rotation = '`etcd.disconnected`, `etcd.connected` in the log; reason `etcd-unreachable` in between'
const nothing = 'Nothing.'

export const faultRows: readonly FaultRow[] = [
  {
    number: 1,
    fault: 'the etcd member in use is killed',
    injected: 'kill -9 of the member that the agent watches',
    seen: rotation,
    lasts: 'under a second',
    todo: nothing,
  },
  {
    number: 2,
    fault: 'the leader of etcd is killed',
    injected: 'kill -9 of the leader',
    seen: 'nothing, or as row 1 if the agent watched that member; new hosts wait for the election',
    lasts: 'the election: one to three seconds with etcd’s defaults',
    todo: nothing,
  },
  {
    number: 3,
    fault: 'the etcd member in use hangs',
    injected: 'SIGSTOP of the member that the agent watches',
    seen: rotation,
    lasts: 'up to 10.5 s: 7 s until the next keep-alive of the connection, 3 s for its answer',
    todo: 'Look at the member.',
  },
  {
    number: 4,
    fault: 'packets to the etcd member in use vanish',
    injected: 'nft drops both directions between that member and the agents',
    seen: rotation,
    lasts: 'up to 10.5 s, as row 3',
    todo: 'Look at firewall and routes between the host and that member.',
  },
  {
    number: 5,
    fault: 'every etcd member refuses connections',
    injected: 'nft rejects with a TCP reset at all members',
    seen: 'reason `etcd-unreachable`; the agent tries less than once a second and uses less than 2 % of a core',
    lasts: 'until etcd listens again, and up to 5 s more',
    todo: 'Start etcd. Forwarding goes on with the peers known; new hosts are not learnt until then.',
  },
  {
    number: 6,
    fault: 'a middlebox accepts connections and never answers',
    injected: 'TCP proxies: open connections freeze for ever, new ones are accepted and mute, then served',
    seen: 'reason `etcd-unreachable`',
    lasts: 'until new connections work, and up to 10 s more; those that froze are given up',
    todo: 'Look at load balancers, NAT and firewalls in between.',
  },
  {
    number: 7,
    fault: 'etcd loses its quorum',
    injected: 'SIGSTOP of two members of three',
    seen: 'reason `etcd-no-leader`, later perhaps `etcd-unreachable`; the lease becomes `unsure`, never `lost`',
    lasts: 'seen within 5 s; over as soon as there is a leader again, and up to 5 s more',
    todo: 'Bring a second member back.',
  },
  {
    number: 8,
    fault: 'the etcd member in use is cut off from the others',
    injected: 'nft drops the peer port of that member',
    seen: 'reason `etcd-no-leader`, then `etcd.connected` with another member',
    lasts: 'a few seconds',
    todo: 'Look at the network between the members.',
  },
  {
    number: 9,
    fault: 'etcd is away for longer than the lease lives',
    injected: 'all members killed; after their return agents are refused until leases of 5 s have expired',
    seen: 'reason `etcd-unreachable`; then `lease.lost`, `lease.owned` with the same subnet. Peers are `held` meanwhile',
    lasts: 'the outage; the subnet is claimed again within a second of the first contact',
    todo: 'Start etcd.',
  },
  {
    number: 10,
    fault: 'etcd is wiped',
    injected: 'all members killed, their data removed, started again under the same cluster id',
    seen: 'reasons `config-missing` and, if many peers vanished, `peers-held`; `lease.lost`, `lease.owned`',
    lasts:
      'agents are back with their subnets in seconds; peers that do not come back are held for ten minutes',
    todo: 'Write the network configuration again with `tweed network set`. Restart no host.',
  },
  {
    number: 11,
    fault: 'etcd is restored from an old backup',
    injected:
      '`etcdctl snapshot restore` of a backup without the record of one host and with old records of others',
    seen: '`lease.lost`, `lease.owned` where the own record is missing or older; peers of the backup come back',
    lasts: 'seconds',
    todo: 'Delete records of hosts that are gone for good.',
  },
  {
    number: 12,
    fault: 'etcd compacts its history while the agent is cut off',
    injected: 'nft drop, hidden writes, compaction, heal',
    seen: 'nothing beyond the cut: the agent lists again and writes the rows that differ, no others',
    lasts: 'one list: under a second',
    todo: nothing,
  },
  {
    number: 13,
    fault: 'the connection breaks in the middle of a list or of catching up',
    injected:
      'TCP proxies that cut after some thousand bytes, again and again, with 2,000 and 4,000 events missed',
    seen: '`etcd.disconnected`, `etcd.connected`',
    lasts: 'until a connection holds for long enough',
    todo: nothing,
  },
  {
    number: 14,
    fault: 'the agent is stopped for longer than its lease lives',
    injected: 'SIGSTOP of an agent with a lease of 5 s',
    seen: 'on its peers: the host is `held`. On itself: `lease.lost`, `lease.owned` with the same subnet',
    lasts: 'until the process goes on, and a second more; peers hold for `--hold`',
    todo: 'Find out who stops the process. Keep `--lease-ttl` long.',
  },
  {
    number: 15,
    fault: 'the same, and another host has the subnet by then',
    injected: 'the same, and a foreign record under the key; with each `--on-conflict`',
    seen: 'reason `lease-conflict`. `renumber`: another subnet in subnet.env. `hold`: forwarding goes on, state `conflict`. `exit`: the agent ends. Peers send to the new owner at once',
    lasts: '`renumber`: a second; `hold`: until the record is gone; `exit`: for ever',
    todo: 'After `renumber` restart the containers of the host. For `hold` decide who keeps the subnet and delete the other record.',
  },
  {
    number: 16,
    fault: 'the agent is killed and started again',
    injected: 'kill -9, changes of peers meanwhile, start',
    seen: 'the log of a start; no write to etcd, and to the kernel only what changed meanwhile',
    lasts: 'a second',
    todo: nothing,
  },
  {
    number: 17,
    fault: 'the host boots while etcd is away',
    injected: 'agent killed and its device deleted, etcd refuses, agent started',
    seen: 'reasons `etcd-unreachable` and `no-snapshot`; forwarding with the peers of the last run',
    lasts: 'the overlay is up after about four seconds; complete once etcd answers',
    todo: 'Start etcd.',
  },
  {
    number: 18,
    fault: 'etcd changes its leader again and again while leases are short',
    injected: 'leases of 6 s; the leader killed three times in a row',
    seen: 'as row 1; no `lease.lost`',
    lasts: 'as row 1',
    todo: nothing,
  },
  {
    number: 19,
    fault: 'all leases expire at once',
    injected:
      'all leases revoked in one moment, which for agents is the same as a freeze of etcd for longer than they live',
    seen: 'reason `peers-held`; `lease.lost`, `lease.owned` with the same subnet on every host',
    lasts: 'own subnets: a second; peers that do not come back: ten minutes',
    todo: 'Find out what froze etcd: mostly its disk.',
  },
  {
    number: 20,
    fault: 'the answer to a claim is lost',
    injected: 'TCP proxies lose every answer until the record is there, then cut',
    seen: 'nothing: the agent recognises its own record',
    lasts: 'a second',
    todo: nothing,
  },
  {
    number: 21,
    fault: '200 hosts ask for subnets at once',
    injected: '200 allocations in one process against a real etcd, 256 subnets',
    seen: 'nothing; every host has a subnet of its own',
    lasts: 'a few seconds',
    todo: nothing,
  },
  {
    number: 22,
    fault: 'no subnet is left',
    injected: 'SubnetMax lowered so that the hosts have them all; another host started',
    seen: 'on the new host only: reasons `no-subnet` and `subnets-exhausted`',
    lasts: 'until there is one; tried again every half a minute, and at once when the configuration changes',
    todo: 'Widen the range with `tweed network set`, or delete records of hosts that are gone.',
  },
  {
    number: 23,
    fault: 'the network configuration is deleted, garbage, or another network',
    injected: 'all three written to etcd',
    seen: 'reasons `config-missing`, `config-invalid`, `config-announced`; the old one stays in force',
    lasts: 'until it is corrected',
    todo: 'Write the right one with `tweed network set`.',
  },
  {
    number: 24,
    fault: 'a record of a peer is malformed',
    injected: 'a new record that is no JSON, and a good one turned into garbage',
    seen: '`record.rejected` in the log, `rejected` in `tweed peers`; a peer whose record turns bad keeps its rows',
    lasts: 'until the record is corrected or deleted',
    todo: 'Correct or delete the record.',
  },
  {
    number: 25,
    fault: 'a record is hostile',
    injected: 'default route, own subnet, own address, multicast MAC, a peer’s MAC, 1.4 MB',
    seen: 'as row 24, with the rule that it breaks',
    lasts: 'as row 24',
    todo: 'Find out who wrote it: the role of an agent should allow its own key only.',
  },
  {
    number: 26,
    fault: 'etcd refuses the agent: login missing, tokens lost, permission revoked',
    injected:
      'authentication switched on under running agents, permission revoked and granted, etcd restarted. Certificates: test/netns/etcd/access.test.ts',
    seen: 'reason `etcd-denied`; forwarding goes on',
    lasts: 'until the permission is there, and up to 5 s more; lost tokens are replaced at once',
    todo: 'Correct user, password, role or certificate.',
  },
  {
    number: 27,
    fault: 'the clock of the host jumps',
    injected:
      'not injected: CLOCK_REALTIME is one for the whole machine (time namespaces have none), and a preloaded library would not reach the agent’s own system calls. Instead a test finds every use of the wall clock in the program: deadlines of gRPC and time stamps for people are all there are',
    seen: 'nothing; time stamps of `tweed status` may be off by the jump',
    lasts: 'a request to etcd that was under way may time out once',
    todo: nothing,
  },
  {
    number: 32,
    fault: 'notifications of the kernel overrun the agent',
    injected:
      'agent stopped, its receive buffer flooded with foreign neighbour events, a row deleted in between',
    seen: 'nothing: the tables are dumped and the row is back',
    lasts: 'under a second once the agent runs',
    todo: nothing,
  },
  {
    number: 33,
    fault: 'the state directory is read-only, or its disk is full',
    injected: 'a read-only bind mount; a tmpfs of one page',
    seen: 'reason `state-unwritable`; forwarding goes on',
    lasts: 'until it can be written, and up to 10 s more',
    todo: 'Make room. Until then a restart knows less: older peers, and the identity of the last write.',
  },
  {
    number: 34,
    fault: '10,000 peers change all the time and file descriptors are scarce',
    injected: '10,000 records, 30,000 changes, at most 64 open files',
    seen: 'nothing; the resident memory stays below 300 MB',
    lasts: 'as long as it is so',
    todo: nothing,
  },
  {
    number: 35,
    fault: 'two hosts have one public address, or one identity',
    injected: 'a second agent with the first one’s address, then with a copy of its state directory',
    seen: 'on the second: reason `lease-conflict`. On the first: nothing. Clones that share the machine-id *and* the address can’t be told from one host that was restarted',
    lasts: 'until one of them changes',
    todo: 'Give the second another address with `--public-ip`; remove a copied state directory.',
  },
]

/** Title of the test of a row. */
export const row = (number: number): string => {
  const found = faultRows.find((each) => each.number === number)
  if (!found) throw new Error(`the fault matrix has no row ${number}`)
  return `row ${number}: ${found.fault}`
}
