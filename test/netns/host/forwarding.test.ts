import { readFile, writeFile } from 'node:fs/promises'
import { expect } from 'chai'
import { forward } from '../../../src/adapters/host/forwarding.ts'
import { isEnclosed } from '../../../tools/enclosure.mjs'
import { output } from '../../support/process.ts'

const conf = '/proc/sys/net/ipv6/conf'
const read = async (path: string) => (await readFile(path, 'utf8')).trim()

// In the namespace that this process is in, which was made for the tests.
describe('forward', () => {
  before(async () => {
    if (!isEnclosed()) throw new Error('this is not an enclosure')
    await output(['ip', 'link', 'add', 'uplink', 'type', 'veth', 'peer', 'name', 'uplink2'])
    await writeFile(`${conf}/all/forwarding`, '0')
    await writeFile(`${conf}/uplink/accept_ra`, '1')
    await writeFile(`${conf}/uplink2/accept_ra`, '0')
  })
  after(() => output(['ip', 'link', 'del', 'uplink']))

  it('switches IPv4 forwarding on', async () => {
    await writeFile('/proc/sys/net/ipv4/ip_forward', '0')
    expect(await forward(4)).to.equal(true)
    expect(await read('/proc/sys/net/ipv4/ip_forward')).to.equal('1')
  })

  it('switches IPv6 forwarding on, and keeps router advertisements where they were taken', async () => {
    expect(await forward(6)).to.equal(true)
    expect(await read(`${conf}/all/forwarding`)).to.equal('1')
    expect(await read(`${conf}/uplink/accept_ra`)).to.equal('2')
    expect(await read(`${conf}/uplink2/accept_ra`)).to.equal('0')
  })

  it('touches nothing where it is on already', async () => {
    await writeFile(`${conf}/uplink/accept_ra`, '1')
    expect(await forward(6)).to.equal(true)
    expect(await read(`${conf}/uplink/accept_ra`)).to.equal('1')
  })
})
