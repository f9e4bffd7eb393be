/** One event name plus fields, once per change of state and not per attempt. */
export interface Log {
  /** Debug lines are wanted: asked before fields are made on a hot path. */
  readonly debugs: boolean
  debug(event: string, fields?: Fields): void
  info(event: string, fields?: Fields): void
  warn(event: string, fields?: Fields): void
  error(event: string, fields?: Fields): void
}

export type Fields = Readonly<Record<string, unknown>>
