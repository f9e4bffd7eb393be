import { readFileSync } from 'node:fs'
import { expect } from 'chai'
import type { Setting } from '../../src/config/setting.ts'
import { type Flag, settings } from '../../src/config/settings.ts'
import { buildProgram, type Commands } from '../../src/cli/program.ts'
import { parseNetworkConfig, printNetworkConfig } from '../../src/core/overlay/network-config.ts'
import type { Parsed } from '../../src/core/parsed.ts'
import { Vni } from '../../src/core/net/vni.ts'

const page = readFileSync(new URL('../../docs/coming-from-flannel.md', import.meta.url), 'utf8')

/** The rows below a heading, without header and line, as cells without blanks and code marks. */
const rowsBelow = (heading: string): readonly (readonly string[])[] => {
  const section = page.split(/^## /m).find((part) => part.startsWith(`${heading}\n`)) ?? ''
  const lines = section.split('\n').filter((line) => line.startsWith('|'))
  return lines.slice(2).map((line) =>
    line
      .slice(1, -1)
      .split('|')
      .map((cell) => cell.trim().replaceAll('`', '')),
  )
}

/** Every flag of flanneld v0.28.9 (main.go) but those of its logger. */
const flannelFlags = [
  ...['etcd-endpoints', 'etcd-prefix', 'etcd-keyfile', 'etcd-certfile', 'etcd-cafile', 'etcd-username'],
  ...['etcd-password', 'iface', 'iface-regex', 'iface-can-reach', 'public-ip', 'public-ipv6', 'subnet-file'],
  ...['subnet-lease-renew-margin', 'ip-masq', 'ip-masq-fully-random-disable', 'iptables-resync'],
  ...['iptables-forward-rules', 'ip-blackhole-route', 'healthz-ip', 'healthz-port', 'kube-subnet-mgr'],
  ...['kube-api-url', 'kubeconfig-file', 'kube-annotation-prefix', 'net-config-path'],
  ...['set-node-network-unavailable', 'version'],
]
/** Every field that flannel's configuration and its vxlan backend have (config.go, vxlan.go). */
const flannelFields = [
  ...['Network', 'SubnetLen', 'SubnetMin', 'SubnetMax', 'EnableIPv4', 'EnableIPv6', 'IPv6Network'],
  ...['IPv6SubnetLen', 'IPv6SubnetMin', 'IPv6SubnetMax', 'EnableNFTables'],
  ...['Type', 'VNI', 'Port', 'MTU', 'GBP', 'Learning', 'DirectRouting'].map((name) => `Backend.${name}`),
]

const agentHelp = (): string => {
  const commands = new Proxy({}, { get: () => () => Promise.resolve(0) }) as Commands
  const agent = buildProgram(commands, '0').commands.find((command) => command.name() === 'agent')
  return agent?.helpInformation() ?? ''
}

describe('docs/coming-from-flannel.md', () => {
  const flags = rowsBelow('Flags')
  const ourFlags = flags.filter(([, ours = '']) => ours.startsWith('--'))

  it('has a row for each flag of flannel', () => {
    const named = flags.map(([theirs = '']) => theirs).filter((theirs) => theirs.startsWith('--'))
    expect([...named].sort()).to.deep.equal(flannelFlags.map((flag) => `--${flag}`).sort())
  })

  it('names flags that tweed agent has, with their defaults', () => {
    const help = agentHelp()
    for (const [theirs = '', ours = '', byDefault] of ourFlags) {
      expect(Object.keys(settings), theirs).to.include(ours.slice(2))
      expect(help, theirs).to.match(new RegExp(`^  ${ours} `, 'm'))
      const { fallback }: Setting<unknown> = settings[ours.slice(2) as Flag]
      expect(byDefault, `the default of ${ours}`).to.equal(fallback ?? 'none')
    }
  })

  it('names every flag of ours that has the name of one of flannel: fill its row in when it comes', () => {
    for (const flag of flannelFlags.filter((name) => name in settings))
      expect(flags.find(([theirs]) => theirs === `--${flag}`)?.[1], `the row of --${flag}`).to.equal(
        `--${flag}`,
      )
  })

  it('says of every other flag that it is not there, or what is there instead', () => {
    for (const [theirs = '', ours = '', byDefault] of flags.filter((row) => !ourFlags.includes(row))) {
      expect(['none', 'not yet', 'tweed --version'], theirs).to.include(ours)
      expect(byDefault, theirs).to.equal('')
    }
  })

  it('names tweed’s other flags and commands as they are', () => {
    for (const [, flag = ''] of page.matchAll(/`--([a-z-]+)`/g))
      expect([...Object.keys(settings), ...flannelFlags], flag).to.include(flag)
  })

  const fields = rowsBelow('The network configuration')
  const complete = {
    ...{ Network: '10.5.0.0/16', EnableIPv6: true, IPv6Network: 'fc00::/48' },
    Backend: { Type: 'vxlan', MTU: 1500 },
  }
  const withField = (field: string, value: unknown): Parsed<unknown> => {
    const [name = '', inner] = field.split('.')
    const written =
      inner === undefined ? { [name]: value } : { [name]: { ...complete.Backend, [inner]: value } }
    return parseNetworkConfig(JSON.stringify({ ...complete, ...written }))
  }

  it('has a row for each field of flannel, and for each that the parser knows', () => {
    expect(fields.map(([field]) => field).sort()).to.deep.equal([...flannelFields].sort())
    const parsed = parseNetworkConfig(JSON.stringify(complete))
    if (parsed.kind === 'invalid') throw new Error(parsed.rule)
    const { Backend, ...rest } = printNetworkConfig(parsed.value)
    const known = [...Object.keys(rest), ...Object.keys(Backend as object).map((name) => `Backend.${name}`)]
    expect(flannelFields).to.include.members(known)
  })

  it('tells the fields that are read from those that are not', () => {
    for (const [field = '', ours] of fields) {
      const garbage = withField(field, { neither: 'text nor number' })
      if (ours === 'ignored') expect(garbage.kind, field).to.equal('valid')
      else expect(garbage, field).to.deep.include({ kind: 'invalid', field })
      expect(['yes', 'read', 'ignored'], field).to.include(ours)
    }
  })

  it('has the defaults of the numbers and switches', () => {
    const parsed = parseNetworkConfig('{"Network":"10.5.0.0/16","Backend":{"Type":"vxlan"}}')
    if (parsed.kind === 'invalid') throw new Error(parsed.rule)
    const { Backend, ...rest } = printNetworkConfig(parsed.value)
    const defaults = new Map<string, unknown>([
      ...Object.entries(rest),
      ...Object.entries(Backend as object).map(([name, value]) => [`Backend.${name}`, value] as const),
    ])
    for (const field of ['EnableIPv4', 'EnableIPv6', 'Backend.VNI', 'Backend.Port', 'Backend.GBP'])
      expect(fields.find(([name]) => name === field)?.[2], field).to.equal(String(defaults.get(field)))
    for (const field of ['Backend.Learning', 'Backend.DirectRouting'])
      expect(fields.find(([name]) => name === field)?.[2], field).to.equal(String(defaults.get(field)))
    expect(defaults.get('Backend.VNI')).to.equal(Vni.flannel)
  })

  it('tells the backends that are supported from those that are refused', () => {
    const backends = rowsBelow('Backends')
    expect(backends.map(([type]) => type)).to.include.members([
      'vxlan',
      'host-gw',
      'udp',
      'ipip',
      'wireguard',
    ])
    for (const [type = '', ours] of backends)
      expect(withField('Backend.Type', type).kind, type).to.equal(ours === 'yes' ? 'valid' : 'invalid')
  })
})
