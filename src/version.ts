import { readFileSync } from 'node:fs'

/** The package's own version, from the package.json beside `src` and `dist`. */
export const version = (
  JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8')) as { version: string }
).version
