import type { Lab } from '../test/support/lab.ts'
import { wayIn } from './outside.ts'
import { say, title } from './show.ts'

/** Leaves everything as it is until Ctrl-C, and says what can be done with it meanwhile. */
export const keepStanding = async (lab: Lab, stop: Promise<unknown>): Promise<void> => {
  const h1 = lab.host(1)
  const far = lab.host(2).containers[0]?.address ?? ''
  const main = process.env['TWEED_PROGRAM'] ?? `${process.execPath} ${process.cwd()}/dist/main.js`
  title('It stays like this until Ctrl-C. In another terminal:')
  say(`\n${await wayIn()}\n\nand there:\n`)
  say(`ip netns                                        the hosts and containers
ip netns exec h1-a ping ${far.padEnd(24)}across hosts
ip -n h1 route show dev tweed.1                 the tables, here of h1
ip -n h1 neigh show dev tweed.1
bridge -n h1 fdb show dev tweed.1
ip netns exec h1 ip monitor neigh               misses as the kernel reports them
ip netns exec h1 ${main} status --run-dir ${h1.paths.runDir}
ip netns exec h1 ${main} peers --run-dir ${h1.paths.runDir}
ip netns exec underlay env ETCDCTL_API=3 etcdctl --endpoints ${lab.endpoint} get --prefix ''
bridge -n h1 fdb flush dev tweed.1              break it: it is repaired at once
kill -9 ${String(h1.agent?.pid).padEnd(40)}or kill the agent of h1: traffic goes on
`)
  await stop
}
