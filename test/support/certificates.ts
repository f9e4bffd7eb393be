import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { EtcdTls } from './etcd.ts'
import { output } from './process.ts'

/** A certificate authority for one test and what it has signed; made by openssl, gone with `remove()`. */
export class Certificates {
  readonly directory: string
  private constructor(directory: string) {
    this.directory = directory
  }

  static async create(): Promise<Certificates> {
    const certificates = new Certificates(await mkdtemp(join(tmpdir(), 'tweed-ca-')))
    await certificates.#openssl(
      ...['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-days', '2'],
      ...['-subj', '/CN=test authority', '-keyout', 'ca.key', '-out', 'ca.crt'],
    )
    return certificates
  }

  /** Certificate for a server at that address or a client of that name; both uses are allowed. */
  async issue(name: string, address = '127.0.0.1'): Promise<EtcdTls> {
    await writeFile(
      this.#path(`${name}.ext`),
      `subjectAltName=IP:${address}\nextendedKeyUsage=serverAuth,clientAuth\n`,
    )
    await this.#openssl(
      ...['req', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes'],
      ...['-subj', `/CN=${name}`, '-keyout', `${name}.key`, '-out', `${name}.csr`],
    )
    await this.#openssl(
      ...['x509', '-req', '-in', `${name}.csr`, '-CA', 'ca.crt', '-CAkey', 'ca.key', '-CAcreateserial'],
      ...['-days', '2', '-extfile', `${name}.ext`, '-out', `${name}.crt`],
    )
    return { ca: this.#path('ca.crt'), cert: this.#path(`${name}.crt`), key: this.#path(`${name}.key`) }
  }

  get ca(): Promise<Buffer> {
    return readFile(this.#path('ca.crt'))
  }

  remove(): Promise<void> {
    return rm(this.directory, { recursive: true, force: true })
  }

  #path(file: string): string {
    return join(this.directory, file)
  }

  #openssl(...args: readonly string[]): Promise<string> {
    return output(['env', '-C', this.directory, 'openssl', ...args])
  }
}
