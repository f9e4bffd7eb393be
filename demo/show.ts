const isTerminal = process.stdout.isTTY && process.env['NO_COLOR'] === undefined
const bold = (text: string) => (isTerminal ? `\x1b[1m${text}\x1b[0m` : text)
const dim = (text: string) => (isTerminal ? `\x1b[2m${text}\x1b[0m` : text)

export const say = (text = ''): void => {
  for (const line of text.split('\n')) console.log(line === '' ? '' : `  ${line}`)
}

let headings = 0
export const heading = (text: string): void => console.log(`\n${bold(`${++headings}. ${text}`)}\n`)

export const title = (text: string): void => console.log(`\n${bold(text)}`)

export const seconds = (ms: number): string => `${(ms / 1000).toFixed(ms < 9_950 ? 1 : 0)} s`
export const millis = (ms: number): string => `${ms.toFixed(ms < 9.995 ? 2 : 0)} ms`

/** Says what is being waited for, and then how long it took. */
export const progress = async <T>(what: string, work: Promise<T>): Promise<T> => {
  const start = performance.now()
  if (isTerminal) process.stdout.write(`  ${what} …`)
  try {
    const result = await work
    const line = `${what}: ${seconds(performance.now() - start)}`
    process.stdout.write(isTerminal ? `\r\x1b[K  ${dim(line)}\n` : `  ${line}\n`)
    return result
  } catch (error) {
    process.stdout.write(isTerminal ? '\n' : `  ${what}: failed\n`)
    throw error
  }
}

export const median = (values: readonly number[]): number =>
  [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)] ?? NaN

/** Columns as wide as their widest cell; the first row is the head. */
export const table = (rows: readonly (readonly string[])[]): void => {
  const widths = (rows[0] ?? []).map((_, i) => Math.max(...rows.map((row) => row[i]?.length ?? 0)))
  rows.forEach((row, i) => {
    const line = row
      .map((cell, column) => cell.padEnd(widths[column] ?? 0))
      .join('   ')
      .trimEnd()
    say(i === 0 ? dim(line) : line)
  })
}

/** A command as one would type it, and what it printed. */
export const command = (line: string, printed: string): void => {
  say(dim(`$ ${line}`))
  say(printed.trimEnd() || '(nothing)')
  say()
}

const broken: string[] = []

/** Something that was promised: said with the proof, remembered if it doesn't hold. */
export const promised = (what: string, holds: boolean): void => {
  say(`${holds ? '✔' : '✘ BROKEN:'} ${what}`)
  if (!holds) broken.push(what)
}

export const brokenPromises = (): readonly string[] => broken
