import { once } from 'node:events'
import { chmodSync, lstatSync, mkdirSync, unlinkSync } from 'node:fs'
import type { Server } from 'node:net'
import { join } from 'node:path'
import { clearInterval, setInterval } from '../clock.ts'
import { diagnostics } from '../diagnostics.ts'
import { hasCode } from '../errors.ts'
import { isBelieved, lookAt, type Folder } from './localsocket.ts'

const debug = diagnostics('moniker:local')

export interface LocalServerOptions {
  /** Makes the server, each time that it has to listen. */
  make: () => Server
  /** The folders that its socket may be in, best first. */
  folders: readonly Folder[]
  /** Milliseconds between two looks at whether it is still there. Default 5,000. */
  rescan?: number
}

/** The defaults of `LocalServerOptions`. */
export const DEFAULTS = { rescan: 5_000 } satisfies Partial<LocalServerOptions>

/**
 * A server at a Unix socket in a folder by which the kernel proves to others whose it is. It is a faster way to what
 * can be had by TCP as well; so it is tried again where it cannot be had, and made again where it was removed.
 */
export class LocalServer {
  readonly #options: LocalServerOptions
  #server: Server | undefined
  #path: string | undefined
  /** The last path that it had. */
  #last: string | undefined
  #inode: bigint | undefined
  #rescan: NodeJS.Timeout | undefined

  constructor(options: LocalServerOptions) {
    this.#options = options
  }

  /** Its path; `undefined` if there is none. */
  get path(): string | undefined {
    return this.#path
  }

  /** The path that it had, if it was removed there and has not been made again yet. */
  get lost(): string | undefined {
    return this.#path === undefined ? this.#last : undefined
  }

  /** Opens it by a name, if there is one, in the first folder that can be had. It never fails. */
  async open(name: string | undefined): Promise<void> {
    if (name === undefined) return
    const { rescan = DEFAULTS.rescan } = this.#options
    clearInterval(this.#rescan)
    this.#rescan = setInterval(() => void this.#check(name), rescan).unref()
    await this.#openAs(name)
  }

  /** Removes its path, and does not make it again: nobody comes any more, and those who have are served. */
  leave(): void {
    clearInterval(this.#rescan)
    if (this.#path !== undefined) remove(this.#path)
  }

  close(): void {
    clearInterval(this.#rescan)
    this.#rescan = this.#last = undefined
    this.#closeSocket()
  }

  async #openAs(name: string): Promise<void> {
    for (const folder of this.#options.folders) {
      try {
        makeFolder(folder)
        return await this.#bind(join(folder.path, name))
      } catch (error) {
        debug('%s: %s', folder.path, (error as Error).message)
      }
    }
  }

  async #check(name: string): Promise<void> {
    if (this.#path !== undefined && lookAt(this.#path)?.ino === this.#inode) return
    // A socket that is closed removes what has its path by then.
    this.#closeSocket()
    await this.#openAs(name)
  }

  #closeSocket(): void {
    this.#server?.close()
    this.#server = this.#path = this.#inode = undefined
  }

  async #bind(path: string): Promise<void> {
    const rescan = this.#rescan
    const server = this.#options.make()
    // A server that had the name before may have been killed.
    remove(path)
    server.listen({ path, exclusive: true, readableAll: true, writableAll: true, backlog: BACKLOG })
    await once(server, 'listening')
    server.on('error', error => debug('%s: %s', path, error.message))
    // Meanwhile it may have been closed.
    if (this.#rescan !== rescan || this.#server) return void server.close()
    this.#server = server
    this.#path = this.#last = path
    this.#inode = lookAt(path)?.ino
  }
}

/** The most connections that wait to be taken, if the system lets them. */
const BACKLOG = 4_096

/** Makes a folder, if it is not there. Throws unless it is one of this user's that others believe. */
function makeFolder(folder: Folder): void {
  const { path } = folder
  try {
    mkdirSync(path)
    chmodSync(path, 0o755)
  } catch (error) {
    if (!hasCode(error, 'EEXIST')) throw error
  }
  if (!isBelieved(folder)) throw new Error('others could write there')
  if (lstatSync(path).uid !== process.getuid!()) throw new Error('it is that of another user')
}

function remove(path: string): void {
  try {
    unlinkSync(path)
  } catch (error) {
    if (!hasCode(error, 'ENOENT')) throw error
  }
}
