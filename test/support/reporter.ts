import { writeFileSync } from 'node:fs'
import Mocha from 'mocha'

/**
 * Mocha's `spec` output with `N passed, N failed` as its last line. A pending test counts as failed, since
 * nothing may be skipped, and so does a run that executes nothing.
 *
 * With `TWEED_TALLY=<file>` the figures go there as JSON and the line is left to the caller, who adds up.
 */
class ClosingLine extends Mocha.reporters.Spec {
  override epilogue(): void {
    super.epilogue()
    const { passes, failures, pending } = this.stats
    const tally = process.env['TWEED_TALLY']
    const nothingRan = passes + failures + pending === 0
    const failed = failures + pending + (nothingRan && tally === undefined ? 1 : 0)
    // Mocha derives the exit code from this number, right after this listener.
    this.runner.failures = failed
    if (tally === undefined) console.log(`${passes} passed, ${failed} failed`)
    else writeFileSync(tally, JSON.stringify({ passed: passes, failed }))
  }
}

export default ClosingLine // mocha takes a reporter's default export, and only that
