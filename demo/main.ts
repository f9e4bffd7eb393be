// npm run demo [-- --keep]: three hosts, six containers, one etcd, in namespaces of their own.
import { parseArgs } from 'node:util'
import { enclosed, enclosedEnvironment, isEnclosed, whyNoEnclosure } from '../tools/enclosure.mjs'
import { fromOutside } from './outside.ts'

const help = `npm run demo            three hosts with two containers each, on a real etcd, and what tweed does for them
npm run demo -- --keep  the same, and leaves it standing until Ctrl-C, with things to try

It runs in network, mount and process namespaces of its own: nothing of it reaches this machine's network, and
all of it is gone when it ends. It needs root, or a kernel that lets users make user namespaces.`

const options = { keep: { type: 'boolean' }, help: { type: 'boolean', short: 'h' } } as const

const flags = () => {
  try {
    return parseArgs({ options }).values
  } catch (error) {
    console.error(error instanceof Error ? error.message : error)
    return undefined
  }
}

const main = async (): Promise<number> => {
  const values = flags()
  if (!values) return 2
  if (values.help) {
    console.log(help)
    return 0
  }
  if (isEnclosed()) {
    const { tell } = await import('./story.ts')
    return tell({ keep: values.keep ?? false })
  }
  const refusal = whyNoEnclosure()
  if (refusal !== undefined) {
    console.error(`The demo needs namespaces of its own, and ${refusal}`)
    return 1
  }
  const again = [process.execPath, '--import', 'tsx', ...process.argv.slice(1)]
  return fromOutside(enclosed(again), enclosedEnvironment())
}

// Also where a scene that was interrupted would still wait for something.
process.exit(await main())
