import { expect } from 'chai'
import { toFault } from '../../../src/adapters/etcd/faults.ts'
import type { FaultCode } from '../../../src/core/fault.ts'

/** Texts as grpc-js 1.14 and etcd3 1.1 produce them. */
const cases: readonly (readonly [string, FaultCode, boolean, RegExp])[] = [
  [
    '14 UNAVAILABLE: No connection established. Last error: connect ECONNREFUSED 192.0.2.1:2379. Resolution note: ',
    'etcd-unreachable',
    true,
    /^connect ECONNREFUSED 192\.0\.2\.1:2379$/,
  ],
  ['4 DEADLINE_EXCEEDED: Deadline exceeded after 4.001s', 'etcd-unreachable', true, /after 4/],
  ['14 UNAVAILABLE: etcdserver: no leader', 'etcd-no-leader', true, /no leader/],
  [
    '14 UNAVAILABLE: No connection established. Last error: Error: self-signed certificate in certificate chain',
    'etcd-denied',
    true,
    /TLS: .*self-signed/,
  ],
  ['7 PERMISSION_DENIED: etcdserver: permission denied', 'etcd-denied', false, /permission denied/],
  [
    '3 INVALID_ARGUMENT: etcdserver: authentication failed, invalid user ID or password',
    'etcd-denied',
    false,
    /authentication failed/,
  ],
  [
    '11 OUT_OF_RANGE: etcdserver: mvcc: required revision has been compacted',
    'etcd-compacted',
    true,
    /compacted/,
  ],
  [
    'Lease 5 NOT_FOUND: etcdserver: requested lease not found is expired or revoked',
    'lease-lost',
    true,
    /^etcdserver: requested lease not found$/,
  ],
  ['8 RESOURCE_EXHAUSTED: etcdserver: mvcc: database space exceeded', 'etcd-refused', true, /space/],
  [
    '8 RESOURCE_EXHAUSTED: Received message larger than max (70000000 vs 67108864)',
    'etcd-refused',
    false,
    /larger/,
  ],
  ['3 INVALID_ARGUMENT: etcdserver: request is too large', 'etcd-refused', false, /too large/],
]

describe('toFault of the etcd adapter', () => {
  for (const [text, code, transient, message] of cases)
    it(`takes '${text.slice(0, 60)}…' as ${code}`, () => {
      const fault = toFault(new Error(text))
      expect(fault).to.include({ code, transient })
      expect(fault.message).to.match(message)
    })

  it('names the endpoint, once', () => {
    expect(toFault(new Error('14 UNAVAILABLE: Connection dropped'), '192.0.2.1:2379').message).to.equal(
      '192.0.2.1:2379: Connection dropped',
    )
    expect(
      toFault(new Error('14 UNAVAILABLE: connect ECONNREFUSED 192.0.2.1:2379'), '192.0.2.1:2379').message,
    ).to.equal('connect ECONNREFUSED 192.0.2.1:2379')
  })
})
