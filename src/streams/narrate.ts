import { Ip } from '../core/net/ip.ts'
import { printPublicIp } from '../core/overlay/own.ts'
import { printSubnets } from '../core/overlay/subnet-key.ts'
import { printCommand } from '../core/filter/nftables.ts'
import { printRow } from '../core/kernel/notation.ts'
import { describeOpponent, type Fight } from '../core/kernel/fights.ts'
import type { Log } from '../ports/log.ts'
import { type AgentState, faultOf, partOf, startingAgent } from './agent-state.ts'
import type { AgentView } from './agent.ts'
import { type RefusalTeller, refusalTeller } from './refusals.ts'
import { sameAs } from './operators/same-as.ts'
import { describeHealth, deviceOf } from './report.ts'

/** Tells the log what happened, once per change of state and not per attempt. Feed it every view. */
export const narrator = (log: Log): ((view: AgentView) => void) => {
  let before = startingAgent
  let healthBefore = ''
  let fightsBefore: readonly Fight[] = []
  let rejectionsBefore: ReadonlyMap<string, string> = new Map()
  const refusals = refusalTeller(log)
  return (view) => {
    if (view.event.kind === 'outcome' && view.event.outcome.kind === 'missed')
      return tellMiss(log, view.event.outcome)
    const fault = faultOf(view.event)
    if (
      fault &&
      view.event.kind !== 'outcome' &&
      before.troubles.get(partOf(view.event))?.message !== fault.message
    )
      log[fault.transient ? 'warn' : 'error'](`${topicOf(view.event)}.fault`, {
        code: fault.code,
        message: fault.message,
      })
    tellEvent({ log, refusals }, before, view)
    if (view.event.kind === 'etcd') rejectionsBefore = tellRejections(log, rejectionsBefore, view)
    const { state: health, reasons } = describeHealth(view.state, view.forwarding)
    if (health !== healthBefore)
      log.info('health.changed', { health, reasons: reasons.map(({ code }) => code).join(',') })
    if (!reasons.some(({ code }) => code === 'rows-failed')) refusals.forget()
    healthBefore = health
    fightsBefore = tellPeace(log, fightsBefore, view)
    before = view.state
  }
}

const topicOf = ({ kind }: AgentView['event']): string =>
  kind === 'self' || kind === 'no underlay' ? 'underlay' : kind

interface Listeners {
  readonly log: Log
  readonly refusals: RefusalTeller
}

function tellEvent(to: Listeners, before: AgentState, { event, state, forwarding }: AgentView): void {
  const { log } = to
  switch (event.kind) {
    case 'self':
      if (sameAs([event.underlay, event.me], [before.underlay, before.me])) return // it is idle, or is not any more
      log.info('underlay.chosen', {
        interface: event.underlay.name,
        address: printPublicIp(event.me),
        mtu: event.underlay.mtuBytes,
        node: event.me.node,
      })
      return
    case 'network':
      if (event.state.kind === 'network' && event.state.network.stored.value !== before.network?.stored.value)
        log.info('network.adopted', { config: event.state.network.stored.value })
      return
    case 'lease':
      tellLease(log, before.lease, state.lease)
      return
    case 'device':
      if (event.state.kind === 'ready' && event.state.link.did !== 'nothing')
        log.info(`device.${event.state.link.did}`, {
          device: event.state.spec.name,
          index: event.state.link.index,
        })
      return
    case 'etcd':
      if (event.connected !== before.etcd.connected)
        log.info(event.connected ? 'etcd.connected' : 'etcd.disconnected')
      return
    case 'filter':
      if (event.state.kind === 'kept' && event.state.wrote.length > 0)
        log.info('filter.written', {
          masquerade: event.state.spec.masquerade,
          commands: event.state.wrote.map(printCommand),
        })
      return
    case 'outcome':
      return tellOutcome(to, event.outcome, {
        device: [...state.devices.values()].map(({ spec }) => spec.name)[0] ?? '',
        peers: forwarding.peers.size,
      })
    case 'no underlay':
    case 'checksums':
    case 'standing':
    case 'fault':
      return
  }
}

function tellLease(log: Log, before: AgentState['lease'], now: AgentState['lease']): void {
  if (!now) return
  const isOther = now.lease.key !== before?.lease.key
  if (before && isOther)
    log.warn('lease.renumbered', { from: printSubnets(before.lease), to: printSubnets(now.lease) })
  if (isOther || now.state !== before.state)
    log.info(`lease.${now.state}`, { subnet: printSubnets(now.lease), lease: now.lease.leaseId })
}

type Outcome = Extract<AgentView['event'], { kind: 'outcome' }>['outcome']

function tellOutcome(
  { log, refusals }: Listeners,
  outcome: Outcome,
  { device, peers }: { device: string; peers: number },
): void {
  switch (outcome.kind) {
    case 'wrote':
      refusals.tell(outcome, device)
      log.debug('rows.written', { ops: outcome.ops.length, refused: outcome.refusals.length, peers })
      return
    case 'drifted':
      if (outcome.fight) return tellFight(log, outcome, device)
      log.warn('row.drifted', {
        row: printRow(outcome.event.row, device),
        was: outcome.event.verb === 'add' ? 'changed' : 'removed',
        by: outcome.event.by,
      })
      return
    case 'dumped':
      log.debug('tables.dumped', { rows: outcome.rows })
      return
    case 'missed':
    case 'failed':
    case 'settled':
      return
  }
}

/** Once, when it begins: the repairs that follow are part of it. */
const tellFight = (
  log: Log,
  { fight, fault }: Extract<Outcome, { kind: 'drifted' }>,
  device: string,
): void => {
  if (fight && fault)
    log.warn('row.fight', {
      row: printRow(fight.row, device),
      repairs: fight.repairs,
      by: describeOpponent(fight),
    })
}

/** Fights end by themselves, when nobody has touched the row for a while. */
function tellPeace(log: Log, before: readonly Fight[], { state, forwarding }: AgentView): readonly Fight[] {
  const now = forwarding.fights.ongoing
  for (const { row } of before)
    if (!forwarding.fights.of(row)) log.info('row.peace', { row: printRow(row, deviceOf(state, row.link)) })
  return now
}

const tellMiss = (log: Log, { ip, answer }: Extract<Outcome, { kind: 'missed' }>): void => {
  if (log.debugs) log.debug('miss', { ip: Ip.print(ip), result: answer.result })
}

function tellRejections(
  log: Log,
  told: ReadonlyMap<string, string>,
  { forwarding }: AgentView,
): ReadonlyMap<string, string> {
  const now = forwarding.directory.rejections()
  for (const [key, { code, rule }] of now)
    if (told.get(key) !== code) log.warn('record.rejected', { key, code, rule })
  return new Map([...now].map(([key, { code }]) => [key, code]))
}
