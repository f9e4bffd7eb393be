import { expect } from 'chai'
import { firstValueFrom } from 'rxjs'
import { Failed } from '../../../src/adapters/netlink/faults.ts'
import { Features } from '../../../src/adapters/netlink/features.ts'
import type { VxlanSpec } from '../../../src/core/kernel/link.ts'
import { Namespace, ip, linkIndex, sh } from './namespace.ts'

const device = 'tweed.42'
/** As the program ethtool says it, which shares nothing with us. */
const offload = async (): Promise<string> =>
  /^\ttx-checksum-ip-generic: (.*)$/m.exec(await sh(`ethtool -k ${device}`))?.[1] ?? ''

for (const [underlay, local] of [
  ['IPv4', '192.0.2.1'],
  ['IPv6', '2001:db8::1'],
] as const)
  // prettier-ignore
  describe(`checksum offload of a device over ${underlay}`, () => {
    let namespace: Namespace
    before(async () => {
      namespace = await Namespace.open()
      await sh('ip address add 2001:db8::1/64 dev nl0 nodad')
    })
    after(() => namespace.close())
    const ensure = (change: Partial<VxlanSpec> = {}) =>
      namespace.ensure({ local: ip(local), mtuBytes: 1400, ...change })

    it('is on in a new device, which nobody said anything about', async () => {
      expect(await ensure()).to.deep.include({ did: 'created' })
      expect(await offload()).to.equal('on')
    })

    it('is switched off live, once', async () => {
      const index = await linkIndex(device)
      expect(await ensure({ checksumOffload: false })).to.deep.include({ index, did: 'changed' })
      expect(await offload()).to.equal('off')
      const seen = await namespace.during(async () => {
        expect(await ensure({ checksumOffload: false })).to.deep.include({ index, did: 'nothing' })
      })
      expect(seen).to.deep.equal([])
    })

    it('is told by the port', async () => {
      const index = await linkIndex(device)
      expect(await firstValueFrom(namespace.kernel.checksumOffload$(index))).to.equal(false)
      await sh(`ethtool -K ${device} tx-checksum-ip-generic on`)
      expect(await firstValueFrom(namespace.kernel.checksumOffload$(index))).to.equal(true)
    })

    it('is heard of when somebody else switches it', async () => {
      const told = namespace.next((event) => event.kind === 'link' && event.link.name === device)
      await sh(`ethtool -K ${device} tx-checksum-ip-generic off`)
      await told
    })

    it('stays as it is where nothing is said of it', async () => {
      expect(await ensure()).to.deep.include({ did: 'nothing' })
      expect(await offload()).to.equal('off')
    })

    it('is switched on again', async () => {
      expect(await ensure({ checksumOffload: true })).to.deep.include({ did: 'changed' })
      expect(await offload()).to.equal('on')
    })

    it('is off in a device that is made anew', async () => {
      expect(await ensure({ checksumOffload: false, gbp: true })).to.deep.include({ did: 'recreated' })
      expect(await offload()).to.equal('off')
    })
  })

describe('Features', () => {
  it('says so where the kernel does not let itself be told', async () => {
    const features = new Features()
    const lo = await linkIndex('lo')
    expect(await features.checksumOffload(lo)).to.equal(true)
    const refused: unknown = await features.setChecksumOffload(lo, false).catch((error: unknown) => error)
    expect(refused).to.be.instanceOf(Failed)
    expect((refused as Failed).fault).to.deep.include({ code: 'kernel-refused', message: 'the kernel keeps tx-checksum-ip-generic on' }) // prettier-ignore
    expect(await features.checksumOffload(lo)).to.equal(true)
    features.close()
  })
})
