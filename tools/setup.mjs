// Makes this checkout runnable: system packages, node_modules, the native addon, dist. Says in a line each
// what it does, and nothing when nothing is to be done. Needs Node and npm, nothing else.
import { spawnSync } from 'node:child_process'
import {
  accessSync,
  constants,
  existsSync,
  lstatSync,
  readdirSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { delimiter, dirname, join, resolve } from 'node:path'

const root = resolve(import.meta.dirname, '..')
const isRoot = process.getuid?.() === 0
const at = (...path) => join(root, ...path)
const say = (line) => console.log(`setup: ${line}`)
const stop = (line) => {
  console.error(`setup: ${line}`)
  process.exit(1)
}

/** Runs a command quietly: its output is shown only if it fails. */
const run = (what, command, args, env = {}) => {
  const { status, error, stdout, stderr } = spawnSync(command, args, {
    cwd: root,
    stdio: ['ignore', 'pipe', 'pipe'],
    encoding: 'utf8',
    maxBuffer: 64 << 20,
    env: { ...process.env, ...env },
  })
  if (status === 0) return
  console.error(`${stdout ?? ''}${stderr ?? ''}`.trimEnd())
  stop(`${what} failed: ${command} ${args.join(' ')}${error ? ` (${error.message})` : ''}`)
}

/** Newest modification below a path, in ms; 0 where nothing is. */
const newest = (path) => {
  if (!existsSync(path)) return 0
  const stat = statSync(path)
  if (!stat.isDirectory()) return stat.mtimeMs
  return Math.max(0, ...readdirSync(path).map((name) => newest(join(path, name))))
}
const ageOf = (path) => (existsSync(path) ? statSync(path).mtimeMs : 0)

const onPath = (program) =>
  [...(process.env.PATH ?? '').split(delimiter), '/usr/sbin', '/sbin'].some((folder) => {
    try {
      accessSync(join(folder, program), constants.X_OK)
      return true
    } catch {
      return false
    }
  })

const addon = () =>
  [at('build', 'Release'), at('prebuilds', `${process.platform}-${process.arch}`)]
    .filter(existsSync)
    .flatMap((folder) => readdirSync(folder).map((name) => join(folder, name)))
    .filter((path) => path.endsWith('.node'))
    .sort((a, b) => ageOf(b) - ageOf(a))[0]

const addonSources = () => Math.max(newest(at('binding.gyp')), newest(at('native')))
const addonIsStale = () => existsSync(at('binding.gyp')) && ageOf(addon() ?? '') < addonSources()

const packages = () => {
  const wanted = [
    ['etcd', 'etcd-server'],
    ['etcdctl', 'etcd-client'],
    ['ip', 'iproute2'],
    ['bridge', 'iproute2'],
    ['ping', 'iputils-ping'],
    ['nft', 'nftables'],
    ['iptables-legacy', 'iptables'],
    ['ethtool', 'ethtool'],
    ['unshare', 'util-linux'],
    ['nsenter', 'util-linux'],
    ['mount', 'mount'],
    ...(addonIsStale()
      ? [
          ['gcc', 'gcc'],
          ['g++', 'g++'],
          ['make', 'make'],
          ['python3', 'python3'],
        ]
      : []),
  ]
  return [...new Set(wanted.filter(([program]) => !onPath(program)).map(([, name]) => name))]
}

/** Debian starts a service as soon as its package is unpacked; we need etcd's program and not the service. */
const POLICY = '/usr/sbin/policy-rc.d'
const withoutServices = (install) => {
  const ours = !existsSync(POLICY)
  if (ours) writeFileSync(POLICY, '#!/bin/sh\nexit 101\n', { mode: 0o755 })
  process.on('exit', () => ours && rmSync(POLICY, { force: true }))
  install()
  if (ours) rmSync(POLICY, { force: true })
}

const installPackages = () => {
  const missing = packages()
  if (missing.length === 0) return
  const command = `apt-get install -y --no-install-recommends ${missing.join(' ')}`
  if (!isRoot) stop(`missing: ${missing.join(', ')}. Install as root: ${command}`)
  if (!onPath('apt-get')) stop(`missing: ${missing.join(', ')}; and there is no apt-get to install them with`)
  say(`installing ${missing.join(', ')} (takes a minute or two)`)
  const env = { DEBIAN_FRONTEND: 'noninteractive' }
  run('refreshing the package list', 'apt-get', ['update', '-qq'], env)
  withoutServices(() =>
    run('installing', 'apt-get', ['install', '-qq', '-y', '--no-install-recommends', ...missing], env),
  )
  if (missing.includes('etcd-server') && existsSync('/run/systemd/system')) {
    spawnSync('systemctl', ['disable', '--quiet', 'etcd.service'])
  }
}

/** Where node's own headers are installed, node-gyp takes them from there and needs no network. */
const headers = () => {
  const prefix = dirname(dirname(process.execPath))
  return existsSync(join(prefix, 'include/node/node_api.h')) ? { npm_config_nodedir: prefix } : {}
}

const installModules = () => {
  const stamp = at('node_modules', '.package-lock.json')
  if (ageOf(stamp) >= ageOf(at('package-lock.json'))) return
  if (lstatSync(at('node_modules'), { throwIfNoEntry: false })?.isSymbolicLink()) return // somebody else's to install
  say('installing node_modules (npm ci)')
  run('npm ci', 'npm', ['ci', '--no-audit', '--no-fund'], headers())
}

const buildAddon = () => {
  if (!addonIsStale()) return
  say('building the native addon')
  run('building the addon', 'npm', ['run', '--silent', 'install'], {
    ...headers(),
    npm_config_build_from_source: 'true',
  })
  if (addonIsStale()) stop(`the native addon was not built; see the output of: npm run install`)
}

const buildDist = () => {
  if (!existsSync(at('src', 'main.ts'))) return say('no src/main.ts yet, nothing to compile')
  const sources = Math.max(newest(at('src')), newest(at('tsconfig.json')))
  if (ageOf(at('dist', 'main.js')) >= sources) return
  say('compiling src to dist')
  run('compiling', 'npm', ['run', '--silent', 'build'])
}

installPackages()
installModules()
buildAddon()
buildDist()
