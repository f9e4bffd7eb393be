import { expect } from 'chai'
import { filterChanges } from '../../../../src/core/filter/changes.ts'
import { masqueradeTable } from '../../../../src/core/filter/masquerade.ts'
import { type NftObject, printCommand } from '../../../../src/core/filter/nftables.ts'
import { accept, counter, drop, forwardChain, ipv4, ipv6, prefix, rule, spec } from './fixtures.ts'

const print = (...args: Parameters<typeof filterChanges>): readonly string[] =>
  filterChanges(...args).commands.map(printCommand)

/** As the kernel gives them back: with handles, and members in its own order. */
const readBack = (objects: readonly NftObject[]): readonly NftObject[] =>
  objects.map((object, i) => {
    const read = ([kind, body]: [string, unknown]) => [kind, { handle: i + 1, ...(body as object) }]
    return Object.fromEntries(Object.entries(object).map(read)) as NftObject
  })

const table = [
  'nft add table inet tweed',
  'nft delete table inet tweed',
  'nft add table inet tweed',
  "nft 'add chain inet tweed postrouting { type nat hook postrouting priority 100; policy accept; }'",
  "nft 'add rule inet tweed postrouting meta mark & 16384 == 16384 return'",
]

describe('filterChanges of our table', () => {
  it('makes it with the rules of flannel, in one transaction', () => {
    expect(print([], spec())).to.deep.equal([
      ...table,
      "nft 'add rule inet tweed postrouting ip saddr 10.5.0.0/16 ip daddr 10.5.0.0/16 return'",
      "nft 'add rule inet tweed postrouting ip saddr != 10.5.0.0/16 ip daddr 10.5.9.0/24 return'",
      "nft 'add rule inet tweed postrouting ip saddr 10.5.0.0/16 ip daddr != 224.0.0.0/4 masquerade fully-random'",
      "nft 'add rule inet tweed postrouting ip saddr != 10.5.0.0/16 ip daddr 10.5.0.0/16 masquerade fully-random'",
    ])
  })

  it('has the same for IPv6', () => {
    expect(print([], spec({ families: [ipv6], fullyRandom: false }))).to.deep.equal([
      ...table,
      "nft 'add rule inet tweed postrouting ip6 saddr fd00:5::/48 ip6 daddr fd00:5::/48 return'",
      "nft 'add rule inet tweed postrouting ip6 saddr != fd00:5::/48 ip6 daddr fd00:5:0:9::/64 return'",
      "nft 'add rule inet tweed postrouting ip6 saddr fd00:5::/48 ip6 daddr != ff00::/8 masquerade'",
      "nft 'add rule inet tweed postrouting ip6 saddr != fd00:5::/48 ip6 daddr fd00:5::/48 masquerade'",
    ])
    const dual = filterChanges([], spec({ families: [ipv4, ipv6] }))
    expect(dual.commands).to.have.length(table.length + 8)
  })

  it('leaves it alone where it stands as wanted, whatever its handles', () => {
    const standing = readBack(masqueradeTable(spec()))
    expect(filterChanges(standing, spec())).to.deep.equal({ commands: [], dropping: [] })
  })

  it('takes a bare flag for a list of one', () => {
    const bare = JSON.parse(JSON.stringify(masqueradeTable(spec())).replaceAll('["fully-random"]', '"fully-random"')) as NftObject[] // prettier-ignore
    expect(print(bare, spec())).to.deep.equal([])
  })

  it('replaces it after every edit', () => {
    const standing = readBack(masqueradeTable(spec()))
    const [first, second, ...others] = standing
    const inOurs = { family: 'inet', table: 'tweed', name: 'x' }
    const edits: Record<string, readonly NftObject[]> = {
      'a rule is missing': standing.slice(0, -1),
      'the rules are gone': [first ?? {}, second ?? {}],
      'the chain is gone': [first ?? {}],
      'rules stand in another order': [first ?? {}, second ?? {}, ...others.toReversed()],
      'there is a set more': [...standing, { set: inOurs }],
      'another network is masqueraded': readBack(masqueradeTable(spec({ families: [ipv6] }))),
      'ports are not random': readBack(masqueradeTable(spec({ fullyRandom: false }))),
    }
    for (const [edit, listing] of Object.entries(edits))
      expect(print(listing, spec()), edit).to.deep.equal(print([], spec()))
  })

  it('removes it when it is not wanted any more', () => {
    expect(print(readBack(masqueradeTable(spec())), spec({ masquerade: false }))).to.deep.equal(
      table.slice(0, 2),
    )
    expect(print([], spec({ masquerade: false }))).to.deep.equal([])
  })

  it('takes no notice of tables of others', () => {
    const others = [{ table: { family: 'ip', name: 'tweed' } }, { table: { family: 'inet', name: 'tweed2' } }]
    expect(print([...others, ...readBack(masqueradeTable(spec()))], spec())).to.deep.equal([])
  })
})

describe('filterChanges of forward chains', () => {
  const closed = { chain: forwardChain() }
  const saying = 'chain FORWARD of table ip filter (policy drop) drops packets of 10.5.0.0/16'
  const quiet = spec({ masquerade: false })
  const opening = spec({ masquerade: false, acceptForwarded: true })
  const ours = [
    rule([prefix('saddr', '10.5.0.0/16'), counter, accept], 'FORWARD', 'tweed'),
    rule([prefix('daddr', '10.5.0.0/16'), counter, accept], 'FORWARD', 'tweed'),
  ]
  const inserted = [
    'nft \'insert rule ip filter FORWARD ip daddr 10.5.0.0/16 counter accept comment "tweed"\'',
    'nft \'insert rule ip filter FORWARD ip saddr 10.5.0.0/16 counter accept comment "tweed"\'',
  ]

  it('tells of one that drops, and writes nothing unasked', () => {
    expect(filterChanges([closed], quiet)).to.deep.equal({ commands: [], dropping: [saying] })
  })

  it('puts rules in front when asked, and tells of nothing then', () => {
    expect(print([closed], opening)).to.deep.equal(inserted)
    expect(filterChanges([closed], opening).dropping).to.deep.equal([])
  })

  it('leaves them where they stand and do their work', () => {
    expect(print([closed, ...ours, rule([drop])], opening)).to.deep.equal([])
  })

  it('puts them in front again where somebody else drops before', () => {
    expect(print([closed, rule([drop]), ...ours], opening)).to.have.length(4)
  })

  it('puts back the one that was removed', () => {
    expect(print([closed, ...ours.slice(1)], opening)).to.have.length(3)
  })

  it('removes them when they are not wanted, or not needed any more', () => {
    const removed = ours.map((r) => `nft delete rule ip filter FORWARD handle ${String(r.rule?.handle)}`)
    expect(filterChanges([closed, ...ours], quiet).dropping).to.deep.equal([saying])
    expect(print([closed, ...ours], quiet)).to.deep.equal(removed)
    expect(print([{ chain: forwardChain({ policy: 'accept' }) }, ...ours], opening)).to.deep.equal(removed)
    expect(print([closed, ...ours])).to.deep.equal(removed)
  })

  it('does both families in a chain of both', () => {
    const chain = forwardChain({ family: 'inet', table: 'firewall', name: 'forward' })
    expect(print([{ chain }], { ...opening, families: [ipv4, ipv6] })).to.have.length(4)
  })
})
