#!/usr/bin/env node
import { CommanderError } from 'commander'
import { buildProgram, type Commands, usageExitCode } from './cli/program.ts'
import { keepHeapSmall } from './commands/heap.ts'
import { SettingError } from './config/load.ts'
import { Fault } from './core/fault.ts'
import { version } from './version.ts'

// Each command is loaded when it is called, so that `--help` and `status` load no kernel, no etcd and no logger.
const commands: Commands = {
  agent: async (invocation) => {
    keepHeapSmall()
    return (await import('./commands/agent.ts')).runAgent(invocation)
  },
  reserve: async (invocation) => (await import('./commands/reserve.ts')).reserve(invocation),
  'network set': async (invocation) => (await import('./commands/network.ts')).networkSet(invocation),
  'network get': async (invocation) => (await import('./commands/network.ts')).networkGet(invocation),
  status: async (invocation) => (await import('./commands/status.ts')).status(invocation),
  peers: async (invocation) => (await import('./commands/status.ts')).peers(invocation),
  metrics: async (invocation) => (await import('./commands/status.ts')).metrics(invocation),
  plan: async (invocation) => (await import('./commands/plan.ts')).plan(invocation),
  cleanup: async (invocation) => (await import('./commands/cleanup.ts')).cleanup(invocation),
  renumber: async (invocation) => (await import('./commands/renumber.ts')).renumber(invocation),
  leave: async (invocation) => (await import('./commands/leave.ts')).leave(invocation),
}

// `tweed agent --help | head` closes the pipe early: that is no error.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code !== 'EPIPE') throw error
  process.exit()
})

const explain = (error: unknown): string => {
  if (Fault.is(error)) return `${error.code}: ${error.message}`
  return error instanceof Error ? error.message : JSON.stringify(error)
}

try {
  await buildProgram(commands, version).parseAsync()
} catch (error) {
  if (error instanceof CommanderError) process.exitCode = usageExitCode(error)
  else {
    process.stderr.write(`tweed: ${explain(error)}\n`)
    process.exitCode = error instanceof SettingError ? 2 : 1
  }
}
