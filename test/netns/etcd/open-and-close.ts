import { firstValueFrom, filter } from 'rxjs'
import { openLeaseStore } from '../../../src/adapters/etcd/store.ts'

// A program that uses every kind of stream, closes the store, and has then nothing left to do.
const store = openLeaseStore({ endpoints: process.argv[2] ?? '', prefix: '/test/network' })
const error = (cause: unknown) => {
  console.log('error', cause)
}
store.config$.subscribe({ error })
const leaseId = await firstValueFrom(store.grant$(60))
await firstValueFrom(store.keepAlive$(leaseId))
store.records$.pipe(filter(({ kind }) => kind === 'connected')).subscribe({
  error,
  next: ({ kind }) => {
    console.log(kind)
    void firstValueFrom(store.read$(), { defaultValue: undefined }) // still under way
    store.close()
    console.log('closed')
  },
})
