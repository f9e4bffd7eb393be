import { firstValueFrom, filter } from 'rxjs'
import { openLeaseStore } from '../../../src/adapters/etcd/store.ts'

// A program that uses every kind of stream, closes the store, and has then nothing left to do.
const store = openLeaseStore({ endpoints: process.argv[2] ?? '', prefix: '/test/network' })
store.config$.subscribe()
const leaseId = await firstValueFrom(store.grant$(60))
await firstValueFrom(store.keepAlive$(leaseId))
const connected$ = store.records$.pipe(filter(({ kind }) => kind === 'connected'))
connected$.subscribe(({ kind }) => {
  console.log(kind)
  void firstValueFrom(store.read$(), { defaultValue: undefined }) // still under way
  store.close()
  console.log('closed')
})
