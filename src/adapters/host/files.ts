import { mkdir, open, readFile, rename, rm, writeFile } from 'node:fs/promises'
import { dirname } from 'node:path'
import { concatMap, distinctUntilChanged, interval, map, type Observable, skip, startWith } from 'rxjs'
import { Fault } from '../../core/fault.ts'

/** The text of a file, or `undefined` when there is none. */
export const readText = async (path: string): Promise<string | undefined> => {
  try {
    return await readFile(path, 'utf8')
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return undefined
    throw unwritable(path, error)
  }
}

/**
 * Either the old content or the new one is there, whatever happens meanwhile: write beside, sync, rename. A long
 * text comes in parts, between which others have their turn.
 */
export const writeAtomically = async (path: string, text: string | Iterable<string>): Promise<void> => {
  const beside = `${path}.${String(process.pid)}.new`
  try {
    await mkdir(dirname(path), { recursive: true, mode: 0o755 })
    const file = await open(beside, 'w', 0o644)
    try {
      await writeFile(file, text)
      await file.sync()
    } finally {
      await file.close()
    }
    await rename(beside, path)
  } catch (error) {
    await rm(beside, { force: true }).catch(() => undefined)
    throw unwritable(path, error)
  }
}

export const remove = async (path: string): Promise<void> => {
  await rm(path, { recursive: true, force: true }).catch((error: unknown) => {
    throw unwritable(path, error)
  })
}

/** One piece of work after the other, in the order of asking: nobody overtakes what an asker who left has begun. */
export class InTurn {
  #last: Promise<unknown> = Promise.resolve()

  run<T>(work: () => Promise<T>): Promise<T> {
    const turn = this.#last.then(work)
    this.#last = turn.catch(() => undefined)
    return turn
  }
}

export const codeOf = (error: unknown): unknown => (error as { code?: unknown }).code

// A Fault is a value that travels in the error channel: streams tell it from a bug by Fault.is.
const unwritable = (path: string, error: unknown): Error =>
  Object.assign(
    new Error(String(error)),
    Fault.of('state-unwritable', `${path}: ${(error as Error).message}`),
  )

/** Emits whenever one of the files has other content than before; looks every `periodMs`. */
export const contentChanges$ = (paths: readonly string[], periodMs: number): Observable<unknown> =>
  interval(periodMs).pipe(
    startWith(0),
    concatMap(() => Promise.all(paths.map((path) => readFile(path).catch(() => Buffer.alloc(0))))),
    map((contents) => Buffer.concat(contents).toString('base64')),
    distinctUntilChanged(),
    skip(1),
  )
