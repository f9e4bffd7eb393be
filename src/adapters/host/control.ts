import { existsSync } from 'node:fs'
import { mkdir, rm } from 'node:fs/promises'
import { createServer, type IncomingMessage, request, type ServerResponse } from 'node:http'
import { connect } from 'node:net'
import { join } from 'node:path'
import { Observable } from 'rxjs'
import { Fault } from '../../core/fault.ts'

/** What the agent answers on its Unix socket: path → JSON. A `POST` path acts. */
export interface ControlRoutes {
  readonly get: Readonly<Record<string, () => unknown>>
  readonly post: Readonly<Record<string, () => Promise<unknown>>>
}

export const socketPath = (runDir: string): string => join(runDir, 'agent.sock')

/**
 * Serves while subscribed; emits once it listens. The socket is for root and its group alone (0660). A socket
 * left by a killed agent is replaced, one that answers is not: then another agent runs, and this errors.
 */
export const serveControl$ = (runDir: string, routes: ControlRoutes): Observable<string> =>
  new Observable((out) => {
    const path = socketPath(runDir)
    const server = createServer((req, res) => answer(routes, req, res))
    const listen = async (): Promise<void> => {
      await mkdir(runDir, { recursive: true, mode: 0o755 })
      if (existsSync(path)) {
        if (await isAnswered(path))
          throw new Error(`another agent answers on ${path}; stop it, or choose another --run-dir`)
        await rm(path, { force: true })
      }
      const mask = process.umask(0o117)
      server.listen(path, () => {
        process.umask(mask)
        out.next(path)
      })
    }
    server.on('error', (error) => out.error(error))
    listen().catch((error: unknown) => out.error(error))
    return () => {
      server.close()
      // An answer may be on its way; a client that says nothing must not keep the process.
      setTimeout(() => server.closeAllConnections(), 500).unref()
    }
  })

function answer(routes: ControlRoutes, req: IncomingMessage, res: ServerResponse): void {
  const path = req.url ?? ''
  const reply = (code: number, body: unknown): void => {
    res.writeHead(code, { 'content-type': 'application/json', connection: 'close' })
    res.end(JSON.stringify(body))
  }
  const read = req.method === 'GET' ? routes.get[path] : undefined
  const act = req.method === 'POST' ? routes.post[path] : undefined
  if (read) {
    const body = read()
    reply(body === undefined ? 503 : 200, body ?? { error: 'the agent is starting' })
  } else if (act)
    act().then(
      (body) => reply(200, body ?? {}),
      (error: unknown) => reply(500, { error: wordsOf(error) }),
    )
  else reply(404, { error: `no ${req.method ?? ''} ${path}` })
}

const wordsOf = (error: unknown): string =>
  Fault.is(error) || error instanceof Error ? error.message : String(error)

/** Somebody listens there, even if it is only starting. */
export const isAnswered = (path: string): Promise<boolean> =>
  new Promise((resolve) => {
    const socket = connect(path, () => {
      socket.destroy()
      resolve(true)
    })
    socket.on('error', () => resolve(false))
  })

/** One request to the agent of this host; rejects with the system's error when none runs. */
export const askControl = (
  path: string,
  method: 'GET' | 'POST',
  url: string,
  timeoutMs = 5000,
): Promise<unknown> =>
  new Promise((resolve, reject) => {
    const req = request({ socketPath: path, path: url, method, timeout: timeoutMs }, (res) => {
      let text = ''
      res.setEncoding('utf8')
      res.on('data', (chunk: string) => (text += chunk))
      res.on('end', () => {
        if (res.statusCode === 200) resolve(JSON.parse(text))
        else reject(new Error(`the agent answered ${String(res.statusCode)}: ${text}`))
      })
    })
    req.on('timeout', () => req.destroy(new Error('the agent did not answer in time')))
    req.on('error', reject)
    req.end()
  })
