import { readlinkSync } from 'node:fs'
import { spawnSync } from 'node:child_process'

/** Set inside an enclosure to the network namespace that lies outside it: `net:[4026531840]`. */
export const OUTSIDE = 'TWEED_OUTSIDE_NETNS'

const flags = ['--net', '--mount', '--pid', '--fork', '--kill-child', '--mount-proc']

/**
 * `ip netns add` keeps its names below /run: one of our own, so that they die with the enclosure, and so do
 * temporary files. The shell stays, as the process that orphans fall to.
 */
const prepare = 'mount -t tmpfs tmpfs /run && export TMPDIR=/run && ip link set lo up && { "$@"; exit $?; }'

/**
 * The command line that runs `command` as process 1 of new network, mount and pid namespaces, which hold
 * everything it makes and disappear with it. Without root it maps the user to root of a user namespace.
 */
export const enclosed = (command) => {
  const user = process.getuid?.() === 0 ? [] : ['--user', '--map-root-user']
  return ['unshare', ...user, ...flags, 'bash', '-c', prepare, 'enclosure', ...command]
}

/** The environment that {@link isEnclosed} recognises. */
export const enclosedEnvironment = () => ({ ...process.env, [OUTSIDE]: readlinkSync('/proc/self/ns/net') })

/** Whether this process runs in a network namespace that was made for it, not in the machine's own. */
export const isEnclosed = () => {
  const outside = process.env[OUTSIDE]
  return outside !== undefined && outside !== readlinkSync('/proc/self/ns/net')
}

/** Why this machine refuses an enclosure, in one line, or undefined where it makes one. */
export const whyNoEnclosure = () => {
  const [program, ...args] = enclosed(['true'])
  const tried = spawnSync(program, args, { encoding: 'utf8' })
  if (tried.status === 0) return undefined
  const words = (tried.error?.message ?? tried.stderr).trim().split('\n').join('; ')
  return process.getuid?.() === 0
    ? `namespaces can't be made here (${words}). In a container, start it with --privileged.`
    : `this user may not make namespaces (${words}). Run as root, or allow user namespaces: ` +
        'sysctl -w kernel.unprivileged_userns_clone=1 (Debian) or kernel.apparmor_restrict_unprivileged_userns=0 (Ubuntu).'
}
