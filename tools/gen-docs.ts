// Writes the pages of docs/ that list what the code knows: settings, network configuration, faults.
//   node --import tsx tools/gen-docs.ts           writes them (npm run docs)
//   node --import tsx tools/gen-docs.ts --check   says which are stale, and exits with 1 if one is
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { buildProgram } from '../src/cli/program.ts'
import { defaultFile, variableOf } from '../src/config/load.ts'
import type { Setting } from '../src/config/setting.ts'
import { type Flag, settings } from '../src/config/settings.ts'
import { Fault, type FaultCode, faultCodes } from '../src/core/fault.ts'
import { parseNetworkConfig, printNetworkConfig } from '../src/core/overlay/network-config.ts'
import { printComplaint } from '../src/core/parsed.ts'
import { faultRemedies } from './fault-remedies.ts'

export interface Page {
  readonly path: string
  readonly text: string
}

const flagGroups: readonly (readonly [title: string, flags: readonly Flag[]])[] = [
  ['etcd', ['etcd-endpoints', 'etcd-prefix', 'etcd-cafile', 'etcd-certfile', 'etcd-keyfile', 'etcd-cert-reload', 'etcd-username', 'etcd-password', 'audit']],
  ['Underlay', ['iface', 'iface-regex', 'iface-can-reach', 'public-ip', 'public-ipv6']],
  ['Forwarding', ['resolve', 'device', 'tx-checksum-offload', 'idle', 'max-neighbours', 'hold', 'resync']],
  ['Masquerading', ['ip-masq', 'ip-masq-fully-random-disable', 'forward-rules']],
  ['Lease', ['subnet', 'lease-ttl', 'on-conflict', 'on-config-change']],
  ['Files', ['subnet-file', 'state-dir', 'run-dir']],
  ['Log', ['log-level', 'log-format']],
] // prettier-ignore

const networkFields: readonly (readonly [field: string, byDefault: string, rule: string, live: string])[] = [
  ['Network', 'none', 'IPv4 prefix with room for four subnets; host bits are masked off', 'live if it still contains the own subnet, else renumbering: another subnet'],
  ['SubnetLen', '24, or Network + 2 if that is longer', 'from Network + 2 to 30', 'renumbering: another subnet'],
  ['SubnetMin', 'second subnet of Network', 'first address of a subnet inside Network', 'live: bounds new allocations only'],
  ['SubnetMax', 'last subnet of Network', 'as SubnetMin, and not below it', 'live: bounds new allocations only'],
  ['EnableIPv4', 'true', 'true unless EnableIPv6 is', 'renumbering: the IPv6 subnet stays'],
  ['EnableIPv6', 'false', 'a subnet of each family for every host, an IPv6 device beside that of IPv4; alone it is [another layout](etcd-layout.md#a-network-of-ipv6-alone)', 'renumbering: the IPv4 subnet stays'],
  ['IPv6Network, IPv6SubnetLen, IPv6SubnetMin, IPv6SubnetMax', 'as for IPv4, SubnetLen 64', 'needed with EnableIPv6; the same rules, SubnetLen up to 126', 'as for IPv4'],
  ['Backend.Type', 'none', 'vxlan, or host-gw: plain routes between hosts on one link, no tunnel', 'renumbering: same subnet, the device comes or goes'],
  ['Backend.VNI', '1', '1 to 16777215', 'renumbering: same subnet, another device'],
  ['Backend.Port', '8472', 'UDP port, 1 to 65535', 'renumbering: same subnet, device made anew'],
  ['Backend.MTU', 'MTU of the underlay interface', 'MTU of the *underlay*, 118 to 65535: the device gets 50 less, as in flannel; the IPv6 device 70', 'live: device and subnet file; containers keep theirs until they are made anew'],
  ['Backend.GBP', 'false', 'group policy extension of VXLAN', 'renumbering: same subnet, device made anew'],
  ['Backend.Learning', 'false', 'the device learns FDB entries from packets', 'live'],
  ['Backend.DirectRouting', 'false', 'hosts on the link of the underlay get a plain route and no tunnel', 'live: each route is replaced'],
] // prettier-ignore

const exampleFile: Partial<Record<Flag, string | number | readonly string[]>> = {
  'etcd-endpoints': ['https://192.0.2.1:2379', 'https://192.0.2.2:2379'],
  'etcd-cafile': '/etc/tweed/ca.pem',
  resolve: 'on-miss',
  'max-neighbours': 4096,
}
const exampleNetwork = '{"Network":"10.5.0.0/16","Backend":{"Type":"vxlan"}}'

const stamp = (source: string): string =>
  `<!-- Generated from ${source} by \`npm run docs\`. Change it there. -->`

const cell = (text: string): string => text.replaceAll('|', '\\|')
const code = (text: string): string => `\`${cell(text)}\``
const table = (header: readonly string[], rows: readonly (readonly string[])[]): string =>
  [header, header.map(() => '---'), ...rows].map((row) => `| ${row.join(' | ')} |`).join('\n')

const unused = (): Promise<number> => Promise.resolve(0)
const program = buildProgram(
  {
    ...{ agent: unused, reserve: unused, 'network set': unused, 'network get': unused, status: unused },
    ...{ peers: unused, metrics: unused, plan: unused, cleanup: unused, renumber: unused, leave: unused },
  },
  '0',
)
/** First words of the commands that take the flag. */
const commandsWith = (flag: string): readonly string[] =>
  program.commands
    .filter((top) =>
      [top, ...top.commands].some(({ options }) => options.some(({ long }) => long === `--${flag}`)),
    )
    .map((command) => command.name())

const settingRow = (flag: Flag): readonly string[] => {
  const { placeholder, help, fallback, repeatable, secret }: Setting<unknown> = settings[flag]
  const marks = [...(repeatable ? ['repeatable'] : []), ...(secret ? ['never logged'] : [])]
  return [
    code(`--${flag} ${placeholder}`),
    code(variableOf(flag)),
    fallback === undefined ? '' : code(fallback),
    cell(help).replaceAll('<', '&lt;') + (marks.length > 0 ? ` (${marks.join(', ')})` : ''),
    commandsWith(flag).join(', '),
  ]
}

/** A setting that nobody has put into a group stands in one of its own. */
const allGroups = (): typeof flagGroups => {
  const grouped = flagGroups.flatMap(([, flags]) => flags)
  const others = (Object.keys(settings) as Flag[]).filter((flag) => !grouped.includes(flag))
  return others.length === 0 ? flagGroups : [...flagGroups, ['Others', others]]
}

/** Throws where an example breaks a rule. */
const checkExamples = (): void => {
  for (const [flag, value] of Object.entries(exampleFile) as [Flag, string | number | string[]][])
    if (settings[flag].parse([value].flat().map(String)) === undefined)
      throw new Error(`the example for ${flag} ${settings[flag].rule}`)
}

const defaultsOf = (text: string): string => {
  const parsed = parseNetworkConfig(text)
  if (parsed.kind === 'invalid') throw new Error(printComplaint(parsed))
  return JSON.stringify(printNetworkConfig(parsed.value), undefined, 2)
}

const configuration = (): string => {
  checkExamples()
  return `${stamp('src/config/settings.ts and tools/gen-docs.ts')}

# Configuration

## Settings of a host

Every setting is a flag, an environment variable and a key of the configuration file. The flag wins over the
variable, the variable over the file, the file over the default. The key of the file is the flag without its
dashes. A flag that means what a flag of flannel means has its name.

A duration is \`250ms\`, \`90s\`, \`10m\`, \`24h\`, \`1d\`, or a bare number of seconds. A value that breaks its rule
ends the program with exit code 2 and one line that names flag, value and rule.

${allGroups()
  .map(
    ([title, flags]) => `### ${title}

${table(['flag', 'variable', 'default', 'meaning', 'commands'], flags.map(settingRow))}`,
  )
  .join('\n\n')}

### Configuration file

\`${defaultFile}\` is read if it is there; \`--config-file <file>\` or \`TWEED_CONFIG_FILE\` names another one, which then
has to exist. It holds one JSON object. An unknown key is an error.

\`\`\`json
${JSON.stringify(exampleFile, undefined, 2)}
\`\`\`

## The network

One JSON value at \`<prefix>/config\` in etcd describes the network for all hosts, in flannel's format. Names of
fields are matched without regard to case; unknown fields are ignored. \`tweed network set\` refuses a value that
breaks a rule; the agent ignores one that was written by other means, and says so (\`config-invalid\`). The last
column says what a running agent does with a change. *Live*: it is adopted at once and no packet is lost.
*Renumbering*: containers would notice, so it is announced ([\`config-announced\`](errors.md)) and done on \`tweed
renumber\`, or at once with \`--on-config-change renumber\`: [operations](operations.md#changing-the-network).
\`test/netns/agent/renumber.test.ts\` goes through the column.

${table(
  ['field', 'default', 'rule', 'changed while running'],
  networkFields.map(([field, ...rest]) => [field.split(', ').map(code).join(', '), ...rest.map(cell)]),
)}

\`${exampleNetwork}\` is enough. \`tweed network get\` prints it with the defaults filled in:

\`\`\`json
${defaultsOf(exampleNetwork)}
\`\`\`
`
}

const errors = (): string => `${stamp('src/core/fault.ts and tools/fault-remedies.ts')}

# Errors

Everything that can go wrong in the world outside has a code. The code stands in the log, in \`health.reasons\` and
\`faults\` of \`tweed status --json\`, and in front of the message when a command fails. Behind it stand the words of
etcd or of the kernel. *Transient* means that trying the same again may help; the agent does so by itself, with
growing delays. After the others it tries again too, a refused row every minute: the cause is outside and may go away.

${table(
  ['code', 'transient', 'meaning', 'what to do'],
  (Object.keys(faultCodes) as FaultCode[]).map((name) => [
    code(name),
    Fault.of(name).transient ? 'yes' : 'no',
    cell(faultCodes[name]),
    cell(faultRemedies[name]),
  ]),
)}

\`etcd-denied\` and \`etcd-refused\` are transient where the message shows that they may pass: a TLS failure, an expired
token, an overloaded or full etcd.

Reasons of \`tweed status\` that are no faults, such as \`rows-pending\`, are in [status](status.md#health).
`

/** Every generated page, as it should be. */
export const generatedPages = (): readonly Page[] => [
  { path: 'docs/configuration.md', text: configuration() },
  { path: 'docs/errors.md', text: errors() },
]

const root = new URL('../', import.meta.url)
const stands = ({ path, text }: Page): boolean =>
  existsSync(new URL(path, root)) && readFileSync(new URL(path, root), 'utf8') === text

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const stale = generatedPages().filter((page) => !stands(page))
  if (process.argv.includes('--check')) {
    for (const { path } of stale) console.error(`${path} is stale: run npm run docs`)
    process.exitCode = stale.length === 0 ? 0 : 1
  } else
    for (const page of stale) {
      writeFileSync(new URL(page.path, root), page.text)
      console.log(`wrote ${page.path}`)
    }
}
