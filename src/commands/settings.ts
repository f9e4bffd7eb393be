import type { Invocation } from '../cli/program.ts'
import { type Loaded, loadSettings } from '../config/load.ts'
import type { Settings } from '../config/settings.ts'
import { removalDefaults } from '../core/overlay/removal.ts'
import type { AgentSettings } from '../streams/world.ts'

export const loadedSettings = ({ flags, file }: Invocation): Loaded =>
  loadSettings({ flags, file, environment: process.env })

export const settingsOf = (invocation: Invocation): Settings => loadedSettings(invocation).values

export const agentSettings = (s: Settings): AgentSettings => ({
  resolve: s.resolve,
  maxNeighbours: s['max-neighbours'],
  idle: s.idle,
  removal: { ...removalDefaults, holdMs: s.hold },
  iface: s.iface,
  ifaceRegex: s['iface-regex'],
  ifaceCanReach: s['iface-can-reach'],
  publicIp: s['public-ip'],
  publicIp6: s['public-ipv6'],
  device: s.device,
  checksumOffload: s['tx-checksum-offload'] === 'keep' ? undefined : s['tx-checksum-offload'] === 'on',
  subnet: s.subnet,
  onConflict: s['on-conflict'],
  onConfigChange: s['on-config-change'],
  leaseTtlSeconds: Math.floor(s['lease-ttl'] / 1000),
  resyncMs: s.resync,
  filter: {
    masquerade: s['ip-masq'],
    fullyRandom: !s['ip-masq-fully-random-disable'],
    acceptForwarded: s['forward-rules'],
  },
  tellMisses: s['log-level'] === 'debug',
})
