import { pino } from 'pino'
import type { Fields, Log } from '../../ports/log.ts'

export type LogFormat = 'json' | 'text'
export type LogLevel = 'debug' | 'info' | 'warn' | 'error'

/** To standard error: JSON lines for machines, aligned text for people. */
export const openLog = (options: { readonly format: LogFormat; readonly level: LogLevel }): Log => {
  const destination =
    options.format === 'json' ? pino.destination({ dest: 2, sync: true }) : { write: writeText }
  const logger = pino(
    {
      level: options.level,
      base: null,
      messageKey: 'event',
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
    },
    destination,
  )
  return {
    debugs: options.level === 'debug',
    debug: (event, fields = {}) => logger.debug(fields, event),
    info: (event, fields = {}) => logger.info(fields, event),
    warn: (event, fields = {}) => logger.warn(fields, event),
    error: (event, fields = {}) => logger.error(fields, event),
  }
}

function writeText(line: string): void {
  const { time, level, event, ...fields } = JSON.parse(line) as Fields & {
    time: string
    level: string
    event: string
  }
  const rest = Object.entries(fields).map(([key, value]) => `${key}=${printed(value)}`)
  process.stderr.write(
    `${time.slice(11, 23)} ${level.toUpperCase().padEnd(5)} ${[event.padEnd(20), ...rest].join(' ')}\n`,
  )
}

const printed = (value: unknown): string => {
  const text = typeof value === 'string' ? value : JSON.stringify(value)
  return /[\s"=]/.test(text) && typeof value === 'string' ? JSON.stringify(value) : text
}
