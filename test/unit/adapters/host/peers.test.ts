import { expect } from 'chai'
import { mkdtemp, readdir, readFile, rm, stat } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { lastValueFrom } from 'rxjs'
import { openHost } from '../../../../src/adapters/host/host.ts'
import type { Host } from '../../../../src/ports/host.ts'
import { recordOf } from '../../core/overlay/fixtures.ts'

describe('the peer file', () => {
  let folder: string
  const open = (): Host =>
    openHost({
      stateDir: folder,
      subnetFile: join(folder, 'subnet.env'),
      sendUnixDatagram: () => 0,
    })
  const file = (): string => join(folder, 'peers.json')
  const inode = async (): Promise<number> => (await stat(file())).ino
  const records = (count: number) => Array.from({ length: count }, (_, i) => recordOf(i))
  beforeEach(async () => (folder = await mkdtemp(join(tmpdir(), 'tweed-'))))
  afterEach(() => rm(folder, { recursive: true }))

  for (const count of [0, 1, 500, 501, 1500])
    it(`gives back ${count} records as one JSON text`, async () => {
      await lastValueFrom(open().savePeers$(records(count)), { defaultValue: undefined })
      expect(JSON.parse(await readFile(file(), 'utf8'))).to.deep.equal(records(count))
      expect(await lastValueFrom(open().loadPeers$())).to.deep.equal(records(count))
      expect(await readdir(folder)).to.deep.equal(['peers.json'])
    })

  it('is written when a record is another one, and left alone when none is, restart or not', async () => {
    await lastValueFrom(open().savePeers$(records(3)), { defaultValue: undefined })
    const host = open()
    await lastValueFrom(host.loadPeers$())
    const before = await inode()
    await lastValueFrom(host.savePeers$(records(3)), { defaultValue: undefined })
    expect(await inode()).to.equal(before)
    const changed = [...records(2), recordOf(2, { leaseId: '77' })]
    await lastValueFrom(host.savePeers$(changed), { defaultValue: undefined })
    expect(await lastValueFrom(open().loadPeers$())).to.deep.equal(changed)
  })

  it('is written again after it was forgotten', async () => {
    const host = open()
    await lastValueFrom(host.savePeers$(records(2)), { defaultValue: undefined })
    await lastValueFrom(host.forget$(), { defaultValue: undefined })
    await lastValueFrom(host.savePeers$(records(2)), { defaultValue: undefined })
    expect(await lastValueFrom(host.loadPeers$())).to.deep.equal(records(2))
  })
})
