import { expect } from 'chai'
import { Fault } from '../../../src/core/fault.ts'
import { Forwarding } from '../../../src/core/forwarding.ts'
import { removalDefaults } from '../../../src/core/overlay/removal.ts'
import { Millis } from '../../../src/core/time.ts'
import { type AgentEvent, reduceAgent, startingAgent } from '../../../src/streams/agent-state.ts'
import { describeHealth } from '../../../src/streams/report.ts'
import { ownLease } from '../core/overlay/fixtures.ts'

describe('describeHealth', () => {
  const lease = { ...ownLease, modRevision: 7 }
  const held: AgentEvent = { kind: 'lease', state: { kind: 'unsure', lease, fault: undefined } }
  const forwarding = new Forwarding({
    ...{ resolve: 'eager', maxNeighbours: 1, idle: Millis.of(0), removal: removalDefaults },
  })
  const reasonsAfter = (...events: readonly AgentEvent[]) => {
    const state = events.reduce((now, event) => reduceAgent(now, event, Millis.of(0)), startingAgent)
    return describeHealth(state, forwarding).reasons.map(({ code }) => code)
  }

  it('is down until subnet.env is written: units that wait for us read it next', () => {
    const written: AgentEvent = { kind: 'fault', of: 'subnet.env', fault: undefined }
    expect(reasonsAfter(held)).to.include('subnet-file-pending')
    expect(reasonsAfter(held, written)).to.not.include('subnet-file-pending')
  })

  it('waits no longer where it cannot be written, and says so', () => {
    const fault = Fault.of('state-unwritable', 'subnet.env: no space left on device')
    const reasons = reasonsAfter(held, { kind: 'fault', of: 'subnet.env', fault })
    expect(reasons).to.include('state-unwritable').and.not.include('subnet-file-pending')
  })
})
