import type { Lab } from '../lab.ts'
import { output } from '../process.ts'

/** Address of the test process on the underlay of a laboratory. */
export const experimenter = '192.0.2.9'

let taps = 0

/** Gives the test process an interface on the underlay; the enclosure keeps it off the machine's own network. */
export const joinUnderlay = async (
  lab: Lab,
  addresses: readonly string[] = [experimenter],
): Promise<void> => {
  const name = `tap${taps++}`
  await lab.underlay.batch([
    `link add ${name} type veth peer name ${name} netns ${process.pid}`,
    `link set ${name} master br0 up`,
  ])
  await output(['ip', 'link', 'set', name, 'up'])
  for (const address of addresses) await output(['ip', 'addr', 'add', `${address}/24`, 'dev', name])
}
