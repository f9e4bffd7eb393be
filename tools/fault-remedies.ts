import type { FaultCode } from '../src/core/fault.ts'

/** What an operator does about each fault; docs/errors.md prints it beside the meaning. */
export const faultRemedies: Readonly<Record<FaultCode, string>> = {
  'etcd-unreachable':
    'Check `--etcd-endpoints`, the network and etcd itself. Forwarding goes on with the peers known last; the agent tries the other endpoints by itself.',
  'etcd-no-leader':
    'Bring the etcd cluster back to quorum (`etcdctl endpoint status --cluster`). The agent moves to a member that has a leader.',
  'etcd-denied':
    'Check user, password and certificates, and that the role may read the prefix and write below `<prefix>/subnets/`. With TLS the message quotes the reason.',
  'etcd-compacted': 'Nothing: the agent reads a snapshot and goes on.',
  'etcd-refused':
    "Read the message, which is etcd's own. Typical: the database is full (`etcdctl alarm list`), or a request is larger than the limit.",
  'config-missing': 'Write one with `tweed network set`. The agent waits for it.',
  'config-invalid':
    'The message names field, value and rule. Write a corrected configuration with `tweed network set`; the running agent keeps the last good one.',
  'config-announced':
    'The message names the fields. Run `tweed renumber` on each host when its containers may be interrupted, or write the old value back ([operations](operations.md#changing-the-network)).',
  'config-changed': 'Nothing: the agent reads the new configuration and goes on.',
  'subnets-exhausted':
    'Widen `Network`, `SubnetMin` or `SubnetMax`, or delete records of hosts that are gone for good. The agent tries again by itself.',
  'lease-lost':
    'Nothing, if it happens once: the subnet is claimed again. Often: somebody deletes keys or revokes leases.',
  'lease-conflict':
    'Two hosts have one public address, or one subnet. Give one of them another address with `--public-ip`; if the other host is gone, delete its record.',
  'subnet-unfit':
    'The message names the rule. Start the agent with a `--subnet` inside `Network` and of `SubnetLen`; until then it keeps the subnet that it has.',
  'peers-held':
    'Find out who emptied etcd. The rows of the vanished peers stay for ten minutes; peers that come back are taken back without interruption.',
  'link-conflict':
    'Remove or rename the device that the message names, or choose another name with `--device`, or another VNI.',
  'route-conflict':
    'Remove the route that the message names, or choose an overlay network that does not overlap it. The agent never replaces a route of somebody else.',
  'row-fight':
    'Stop the other program, or keep it off the device: the message names the row, and the netlink port (by default the process id) or the route protocol of the other. Ends by itself when nobody has touched the row for ten seconds.',
  'kernel-refused':
    "Read the message, which quotes the row in `ip`/`bridge` syntax and the kernel's own words. Tried again every minute.",
  'kernel-busy':
    'Nothing, if it passes. Often: raise `net.ipv4.neigh.default.gc_thresh3`, or give the machine memory.',
  'kernel-denied':
    'Give the process CAP_NET_ADMIN in its network namespace ([operations](operations.md#systemd)).',
  'netlink-overrun':
    'Nothing: the tables are dumped and compared by themselves. Often: something floods the neighbour table; see `misses` in `tweed status`.',
  'netlink-timeout': 'Nothing, if it passes. Often: the machine is overloaded.',
  'forwarding-off':
    'Set `net.ipv4.ip_forward=1`, and `net.ipv6.conf.all.forwarding=1` for an IPv6 overlay. The agent could not write it: `/proc/sys` is read-only, as in many containers.',
  'forward-dropped':
    'The message names chain and table: docker sets this policy. Let the overlay pass there, or have the agent do it with `--forward-rules true` ([operations](operations.md#masquerading-and-forwarding)). For a chain of iptables-legacy it has the commands instead.',
  'checksum-errors':
    'A network card or hypervisor computes checksums of tunnelled packets wrongly. Start the agents of the hosts that *send* them with `--tx-checksum-offload off`; [troubleshooting](troubleshooting.md#wrong-checksums) says how to tell who that is. The code ends when no more arrive.',
  'nft-missing':
    'Install the package `nftables`, or do without `--ip-masq` and `--forward-rules`. The agent looks for it again.',
  'underlay-missing':
    'The message lists the interfaces that there are. Name one with `--iface`, or bring the one that it names up. The agent keeps looking; what stands in kernel and etcd stays meanwhile.',
  'state-unwritable':
    "Make `--state-dir` and the directory of `--subnet-file` writable for the agent's user. Forwarding works without; a restart then knows less.",
}
