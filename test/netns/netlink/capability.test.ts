import { expect } from 'chai'
import { run } from '../../support/process.ts'
import { Namespace, sh } from './namespace.ts'

/** What an agent does in its life, by a process that holds the given capabilities and no others. */
const agent = (capabilities: string, underlay: number) =>
  run([
    ...['setpriv', `--bounding-set=-all${capabilities}`, `--inh-caps=-all${capabilities}`, '--no-new-privs'],
    ...[process.execPath, '--import', 'tsx', '--input-type', 'module', '--eval', body(underlay)],
  ])

const body = (underlay: number): string => `
  import { firstValueFrom as first } from 'rxjs'
  import { openKernel } from './src/adapters/netlink/kernel.ts'
  const link = (index) => [
    { kind: 'fdb', link: index, mac: 0x020000000002, vtep: 0xc0000202 },
    { kind: 'neighbour', link: index, ip: 0x0a050200, mac: 0x020000000002, state: 'permanent' },
    { kind: 'route', link: index, dst: { family: 4, address: 0x0a050200, length: 24 }, via: 0x0a050200 },
  ]
  const kernel = openKernel()
  const said = {}
  try {
    const { index, did } = await first(kernel.ensureLink$({
      family: 4, name: 'tweed.42', vni: 42, port: 8472, underlay: ${underlay}, local: 0xc0000201, mac: 0x0200000000aa,
      mtuBytes: 1450, learning: false, gbp: false, checksumOffload: false,
      addresses: [{ family: 4, address: 0x0a050100, length: 32 }],
      overlay: [{ family: 4, address: 0x0a050000, length: 16 }],
    }))
    said.did = did
    said.offload = await first(kernel.checksumOffload$(index))
    said.refused = await first(kernel.apply$(link(index).map((row) => ({ verb: 'add', row }))))
    said.rows = (await first(kernel.dump$({ family: 4, link: index }))).rows.length
    await first(kernel.removeAll$('tweed.42'), { defaultValue: 0 })
    said.left = (await first(kernel.interfaces$())).links.some(({ name }) => name === 'tweed.42')
  } catch (fault) {
    said.code = fault.code
    said.message = fault.message
  }
  kernel.close()
  console.log(JSON.stringify(said))`

describe('openKernel without root', () => {
  let namespace: Namespace
  before(async () => {
    namespace = await Namespace.open()
  })
  after(() => namespace.close())

  it('does all its work with CAP_NET_ADMIN alone', async () => {
    const { stdout, stderr } = await agent(',+net_admin', namespace.underlay)
    expect(JSON.parse(stdout || '{}'), stderr).to.deep.equal({
      did: 'created',
      offload: false,
      refused: [],
      rows: 3,
      left: false,
    })
  })

  it('names the missing capability without it', async () => {
    const { stdout, stderr } = await agent('', namespace.underlay)
    expect(JSON.parse(stdout || '{}'), stderr).to.deep.include({ code: 'kernel-denied' })
    expect(await sh('ip -j link show type vxlan')).to.match(/^\[(\{\},?)*\]\s*$/)
  })
})
