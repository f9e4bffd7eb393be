import { expect } from 'chai'
import { run } from '../../../support/process.ts'

describe('native', () => {
  it('says what to do where the addon is missing, and only when it is needed', async () => {
    const program = `const { native } = await import('./src/adapters/netlink/native.ts')
      console.log('imported')
      native()`
    // node-gyp-build then looks for a binary of that architecture only.
    const env = ['PREBUILDS_ONLY=1', 'npm_config_arch=none']
    const node = [process.execPath, '--import', 'tsx', '--input-type', 'module', '--eval', program]
    const { code, stdout, stderr } = await run(['env', ...env, ...node])
    expect(code).to.equal(1)
    expect(stdout).to.equal('imported\n')
    expect(stderr).to.include("tweed's native addon could not be loaded on linux-")
    expect(stderr).to.include('npm rebuild tweed')
  })
})
