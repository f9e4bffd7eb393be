// `node --import`: V8's profiler over the whole life of the process; NODE_OPTIONS does not take --cpu-prof.
import { writeFileSync } from 'node:fs'
import { Session } from 'node:inspector'

const file = process.env.TWEED_PROFILE
const startedAfterMs = performance.now() // since the process began: node's own start is over
if (file !== undefined) {
  const session = new Session()
  session.connect()
  session.post('Profiler.enable')
  session.post('Profiler.setSamplingInterval', { interval: 200 })
  session.post('Profiler.start')
  process.on('exit', () =>
    session.post('Profiler.stop', (error, result) => {
      if (!error) writeFileSync(file, JSON.stringify({ ...result.profile, startedAfterMs }))
    }),
  )
}
