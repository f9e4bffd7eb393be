import { printOp } from '../core/kernel/notation.ts'
import type { Log } from '../ports/log.ts'
import type { Outcome } from './reconcile.ts'

export interface RefusalTeller {
  /** Tells what was refused and had not been told, or was for another reason. */
  readonly tell: (outcome: Outcome & { readonly kind: 'wrote' }, device: string) => void
  /** No row fails any more: whatever is refused from now on is news. */
  readonly forget: () => void
}

/** A refused row is tried again, every minute at least, but the log hears of it once and not per attempt. */
export const refusalTeller = (log: Log): RefusalTeller => {
  const codeByOp = new Map<string, string>()
  return {
    tell: ({ ops, refusals }, device) => {
      const refused = new Set(refusals.map(({ op }) => op))
      if (codeByOp.size > 0) for (const op of ops) if (!refused.has(op)) codeByOp.delete(printOp(op, device))
      for (const { op, fault } of refusals) {
        const printed = printOp(op, device)
        if (codeByOp.get(printed) === fault.code) continue
        codeByOp.set(printed, fault.code)
        log.warn('row.refused', { op: printed, code: fault.code, message: fault.message })
      }
    },
    forget: () => {
      codeByOp.clear()
    },
  }
}
