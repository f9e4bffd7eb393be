import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { dirname, join, relative } from 'node:path'
import { fileURLToPath } from 'node:url'
import { expect } from 'chai'
import type { Command } from 'commander'
import { buildProgram } from '../../src/cli/program.ts'
import { variableOf } from '../../src/config/load.ts'
import { settings } from '../../src/config/settings.ts'
import { faultCodes } from '../../src/core/fault.ts'
import { Forwarding } from '../../src/core/forwarding.ts'
import { removalDefaults } from '../../src/core/overlay/removal.ts'
import { missResults } from '../../src/core/overlay/miss.ts'
import { Millis } from '../../src/core/time.ts'
import { startingAgent } from '../../src/streams/agent-state.ts'
import { describeAgent } from '../../src/streams/report.ts'
import { generatedPages } from '../../tools/gen-docs.ts'

const root = fileURLToPath(new URL('../../', import.meta.url))
const read = (path: string): string => readFileSync(join(root, path), 'utf8')

const pages = [
  ...readdirSync(root).filter((name) => name.endsWith('.md')),
  ...readdirSync(join(root, 'docs'), { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.md'))
    .map((name) => join('docs', name)),
]

describe('generated pages', () => {
  for (const { path, text } of generatedPages())
    it(`${path} is what npm run docs writes`, () => {
      expect(existsSync(join(root, path)), 'exists').to.equal(true)
      expect(read(path)).to.equal(text)
    })

  it('name every setting, its variable, and every fault code', () => {
    const text = generatedPages()
      .map((page) => page.text)
      .join('\n')
    for (const flag of Object.keys(settings)) {
      expect(text).to.include(`\`--${flag} `)
      expect(text).to.include(`\`${variableOf(flag)}\``)
    }
    for (const code of Object.keys(faultCodes)) expect(text).to.include(`| \`${code}\` |`)
  })
})

/** As GitHub makes the anchor of a heading. */
const anchorOf = (heading: string): string =>
  heading
    .toLowerCase()
    .replaceAll(/[^\p{L}\p{N}\s_-]/gu, '')
    .trim()
    .replaceAll(' ', '-')

const anchorsIn = (text: string): readonly string[] =>
  [...text.replaceAll(/^```[\s\S]*?^```/gm, '').matchAll(/^#+ (.+)$/gm)].map(([, heading = '']) =>
    anchorOf(heading),
  )

const brokenLinks = (page: string): readonly string[] =>
  [...read(page).matchAll(/\]\(([^)\s]+)\)/g)]
    .map(([, target = '']) => target)
    .filter((target) => !/^[a-z]+:/.test(target))
    .filter((target) => {
      const [path = '', anchor] = target.split('#')
      const file = path === '' ? page : relative(root, join(root, dirname(page), path))
      if (!existsSync(join(root, file))) return true
      return anchor !== undefined && !anchorsIn(read(file)).includes(anchor)
    })

describe('links between pages', () => {
  for (const page of pages)
    it(`of ${page} lead somewhere`, () => {
      expect(brokenLinks(page)).to.deep.equal([])
    })

  it('reach every page from the README', () => {
    const reached = new Set(['README.md'])
    for (const page of reached)
      for (const [, target = ''] of read(page).matchAll(/\]\(([^)\s#]+)[^)]*\)/g)) {
        const file = relative(root, join(root, dirname(page), target))
        if (file.endsWith('.md') && existsSync(join(root, file))) reached.add(file)
      }
    expect([...reached].sort()).to.include.members(pages)
  })
})

const unused = (): Promise<number> => Promise.resolve(0)
const program = buildProgram(
  {
    ...{ agent: unused, reserve: unused, 'network set': unused, 'network get': unused, status: unused },
    ...{ peers: unused, metrics: unused, plan: unused, cleanup: unused, renumber: unused, leave: unused },
  },
  '0',
)

/** The command that the words name, and what they leave over. */
const commandOf = (
  words: readonly string[],
  from: Command = program,
): readonly [Command, readonly string[]] => {
  const next = from.commands.find((command) => command.name() === words[0])
  return next ? commandOf(words.slice(1), next) : [from, words]
}

/** What is wrong with `tweed …`, or nothing. */
const complaint = (line: string): string | undefined => {
  const [command, rest] = commandOf(line.split(/\s+/).slice(1))
  const known = [...command.options.map(({ long }) => long), '--help', '--version']
  const bad = rest.find((word) => /^--[a-z]/.test(word) && !known.includes(word.split('=')[0]))
  if (bad !== undefined) return `${line}: ${command.name()} has no ${bad}`
  return command === program && /^[a-z]/.test(rest[0] ?? '') ? `${line}: no such command` : undefined
}

/** Lines of code blocks, and code in the text, that call the program. */
const callsIn = (text: string): readonly string[] => {
  const blocks = [...text.matchAll(/^```\w*\n([\s\S]*?)^```/gm)].flatMap(([, block = '']) =>
    block.replaceAll('\\\n', ' ').split('\n'),
  )
  const inline = [...text.matchAll(/`(tweed [^`]+)`/g)].map(([, call = '']) => call)
  return [...blocks, ...inline].flatMap((line) => {
    const call = /^(?:\$ |ExecStart=\/usr\/bin\/)?(tweed [a-z-].*)$/.exec(line.trim())?.[1]
    return call === undefined || call.startsWith('tweed joins') ? [] : [call]
  })
}

describe('commands shown in the pages', () => {
  it('are found', () => {
    expect(callsIn('```sh\ntweed status --json\n```\nand `tweed peers`')).to.deep.equal([
      'tweed status --json',
      'tweed peers',
    ])
  })
  it('are told from wrong ones', () => {
    expect(complaint('tweed status --idle 3s')).to.equal('tweed status --idle 3s: status has no --idle')
    expect(complaint('tweed stats')).to.equal('tweed stats: no such command')
  })
  for (const page of pages)
    it(`of ${page} exist, with their flags`, () => {
      expect(callsIn(read(page)).flatMap((call) => complaint(call) ?? [])).to.deep.equal([])
    })

  it('and variables exist', () => {
    const known = [
      ...Object.keys(settings).map(variableOf),
      'TWEED_CONFIG_FILE',
      'TWEED_PROGRAM',
      'TWEED_TALLY',
    ]
    for (const page of pages)
      for (const [name] of read(page).matchAll(/\bTWEED_[A-Z0-9_]+[A-Z0-9]/g))
        expect(known, page).to.include(name)
  })
})

describe('docs/status.md', () => {
  const page = read('docs/status.md')
  const forwarding = new Forwarding({
    ...{ resolve: 'eager', maxNeighbours: 1, idle: Millis.of(0), removal: removalDefaults },
  })
  const facts = { version: '0', pid: 1, startedAt: '', resolve: 'eager', wallTime: String } as const
  const status = describeAgent(startingAgent, forwarding, facts)

  for (const field of Object.keys(status))
    it(`tells what ${field} is`, () => {
      expect(page).to.match(new RegExp(`\`${field}[.\`]`))
    })
  for (const part of ['etcd', 'peers', 'tables'] as const)
    it(`tells what every field of ${part} is`, () => {
      for (const field of Object.keys(status[part])) expect(page).to.include(`\`${part}.${field}\``)
    })
  it('tells every result of a miss', () => {
    for (const result of missResults) expect(page).to.include(`| \`${result}\` |`)
  })
})
