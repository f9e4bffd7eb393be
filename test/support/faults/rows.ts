/** A row of the fault matrix: what happens, how it is done here, and what a user sees of it. */
export interface FaultRow {
  readonly number: number
  readonly fault: string
  /** How the tests bring it about; for what can't be, why, and what is tested in its stead. */
  readonly injected: string
  /** Reason in `tweed status`, event in the log. */
  readonly seen: string
  readonly lasts: string
  readonly todo: string
}

const rows: readonly FaultRow[] = []

export const row = (number: number): string => {
  const found = rows.find((each) => each.number === number)
  return `row ${number}: ${found?.fault ?? ''}`
}
