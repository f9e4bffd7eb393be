import { Command, CommanderError, Option } from 'commander'
import { defaultFile, variableOf } from '../config/load.ts'
import type { Setting } from '../config/setting.ts'
import { type Flag, settings } from '../config/settings.ts'

/** What a command is called with. */
export interface Invocation {
  readonly flags: Readonly<Record<string, string | readonly string[] | undefined>>
  /** What only this command takes, by the name of its flag: it is no setting. */
  readonly options: Readonly<Record<string, string | undefined>>
  readonly json: boolean
  readonly file: string | undefined
  readonly args: readonly string[]
}

/** Each resolves to the exit code. */
export type Commands = Readonly<Record<CommandName, (invocation: Invocation) => Promise<number>>>

export type CommandName =
  | 'agent'
  | 'reserve'
  | 'network set'
  | 'network get'
  | 'status'
  | 'peers'
  | 'metrics'
  | 'plan'
  | 'cleanup'
  | 'renumber'
  | 'leave'

const etcdFlags = [
  'etcd-endpoints',
  'etcd-prefix',
  'etcd-cafile',
  'etcd-certfile',
  'etcd-keyfile',
  'etcd-username',
  'etcd-password',
] as const
const allFlags = Object.keys(settings) as Flag[]

interface Spec {
  readonly name: CommandName
  /** Name and arguments below its parent. */
  readonly usage: string
  readonly description: string
  readonly flags: readonly Flag[]
  /** Flags of this command that are no settings, each with its description. */
  readonly options?: Readonly<Record<string, string>>
  readonly json?: boolean
  readonly help?: string
}

const agentHelp = `SIGTERM and SIGINT end the agent and leave lease and data plane alone: a restart changes nothing.
Exit codes: 0 ended by a signal or by "tweed leave", 1 it could not go on, 2 bad settings.`

const setHelp = `Example: tweed network set '{"Network":"10.5.0.0/16","Backend":{"Type":"vxlan"}}'`

const reserveHelp = `The host takes a subnet that is reserved for it when it has none; one that runs keeps what it has until it
leaves, or until it is started with --subnet. A record that the host has there already only loses its lease,
which its peers don't notice; a record of another host is never touched.
Exit codes: 0 done, or it was so already; 1 refused, and standard error says by whom; 2 bad usage.
Examples: tweed reserve 10.5.7.0/24 --for 192.0.2.7
          tweed reserve 10.5.7.0/24,fc00:0:0:7::/64 --for 192.0.2.7
          tweed reserve --release 10.5.7.0/24
          tweed reserve --list --json`

const statusHelp = `Exit codes: 0 ready or degraded, 3 down, 1 no agent answers.`

const renumberHelp = `A change of the network that containers would notice is announced in "tweed status"; until this order the old
network stays in force. The answer comes when lease, device, rows and subnet file are those of the new one.
Containers with addresses of a subnet that this host has no more have to be made anew.
Exit codes: 0 done, or there was nothing to do; 1 no agent answers, or it was not done within a minute.`

const specs: readonly Spec[] = [
  {
    name: 'agent',
    usage: 'agent',
    description: 'run the agent in the foreground',
    flags: allFlags,
    help: agentHelp,
  },
  {
    name: 'network set',
    usage: 'set <config>',
    description: 'check a network configuration and write it to etcd: JSON, @file, or - for standard input',
    flags: etcdFlags,
    help: setHelp,
  },
  {
    name: 'network get',
    usage: 'get',
    description: 'print the network configuration with its defaults filled in, as JSON',
    flags: etcdFlags,
  },
  {
    name: 'reserve',
    usage: 'reserve [subnet]',
    description: 'keep a subnet for a host, list what is kept, or end that',
    flags: etcdFlags,
    options: {
      '--for <host>': 'public address of the host, or its id (node in tweed status) if it has a record',
      '--list': 'print what is reserved and for whom',
      '--release <subnet>': 'end a reservation; a host that uses it goes on with an ordinary lease',
    },
    json: true,
    help: reserveHelp,
  },
  {
    name: 'status',
    usage: 'status',
    description: "the local agent's health, lease and tables",
    flags: ['run-dir'],
    json: true,
    help: statusHelp,
  },
  {
    name: 'peers',
    usage: 'peers',
    description: 'every peer, and whether it is programmed',
    flags: ['run-dir'],
    json: true,
  },
  {
    name: 'metrics',
    usage: 'metrics',
    description: 'the same as numbers, in the text format of Prometheus',
    flags: ['run-dir'],
  },
  {
    name: 'plan',
    usage: 'plan',
    description: 'what an agent with these settings would change in the kernel now; changes nothing',
    flags: allFlags.filter((flag) => !flag.startsWith('log-')),
  },
  {
    name: 'cleanup',
    usage: 'cleanup',
    description: "remove everything of tweed's from this host; etcd is not touched",
    flags: ['device', 'state-dir', 'run-dir', 'subnet-file'],
  },
  {
    name: 'renumber',
    usage: 'renumber',
    description: 'adopt the network that tweed status announces',
    flags: ['run-dir'],
    json: true,
    help: renumberHelp,
  },
  {
    name: 'leave',
    usage: 'leave',
    description: 'announce the departure, give the subnet back, clean up',
    flags: [...etcdFlags, 'device', 'state-dir', 'run-dir', 'subnet-file'],
  },
]

/** The command tree. Bad usage is thrown as {@link CommanderError}, which {@link usageExitCode} turns into 2. */
export const buildProgram = (commands: Commands, version: string): Command => {
  const program = new Command('tweed')
    .description('etcd-backed VXLAN overlay agent for Linux hosts')
    .version(version, '-V, --version')
    .exitOverride()
    .configureOutput({ outputError: (text, write) => write(`${text.trimEnd().replaceAll('\n', ' ')}\n`) }) // one line
    .addHelpText(
      'after',
      `\nEvery flag is also a variable (${variableOf('etcd-endpoints')}) and a key of ${defaultFile}.`,
    )
  const network = program.command('network').description('the network configuration in etcd').exitOverride()
  for (const spec of specs) addCommand(spec.name.startsWith('network ') ? network : program, spec, commands)
  return program
}

function addCommand(parent: Command, spec: Spec, commands: Commands): void {
  const command = parent.command(spec.usage).description(spec.description).exitOverride()
  for (const flag of spec.flags) command.addOption(optionFor(flag))
  for (const [flags, description] of Object.entries(spec.options ?? {})) command.option(flags, description)
  if (spec.json) command.option('--json', 'print JSON')
  command.option('--config-file <file>', `settings as JSON (default: ${defaultFile} if there is one)`)
  if (spec.help) command.addHelpText('after', `\n${spec.help}`)
  command.action(async (...received: unknown[]) => {
    process.exitCode = await commands[spec.name](invocationOf(received))
  })
}

const optionFor = (flag: Flag): Option => {
  const setting: Setting<unknown> = settings[flag]
  const shown = setting.fallback === undefined ? '' : ` (default: ${setting.fallback})`
  const option = new Option(`--${flag} ${setting.placeholder}`, `${setting.help}${shown}`).preset('true') // if bare
  return setting.repeatable
    ? option.argParser<string[] | undefined>((text, before) => [...(before ?? []), text])
    : option
}

function invocationOf(received: readonly unknown[]): Invocation {
  const command = received.at(-1) as Command
  const given = Object.entries(command.opts()).map(([name, value]) => [kebab(name), value] as const)
  const flags = given.filter(([name]) => name in settings)
  const others = given.filter(([name]) => !(name in settings))
  const { json, 'config-file': file, ...options } = Object.fromEntries(others) as Record<string, string>
  return {
    flags: Object.fromEntries(flags),
    options,
    json: json !== undefined,
    file,
    args: command.args,
  }
}

const kebab = (camel: string): string => camel.replace(/[A-Z]/g, (c) => `-${c.toLowerCase()}`)

/** Help and version are no errors; everything else that commander refuses is bad usage. */
export const usageExitCode = (error: CommanderError): number => (error.exitCode === 0 ? 0 : 2)
