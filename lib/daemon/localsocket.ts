import { once } from 'node:events'
import { chmodSync, lstatSync, mkdirSync, unlinkSync } from 'node:fs'
import { createServer, type Server, type Socket } from 'node:net'
import { join } from 'node:path'
import { clearInterval, setInterval } from '../clock.ts'
import { diagnostics } from '../diagnostics.ts'
import { hasCode } from '../errors.ts'
import { isBelieved, socketFolders, socketName, type Folder } from '../node/localsocket.ts'

const debug = diagnostics('moniker:daemon:local')

export interface LocalSocketOptions {
  /** True if it keeps the process alive. */
  ref: boolean
  /** Called with each connection that comes. */
  connected: (socket: Socket) => void
  /** The folders that it may be in, best first. Default those of this user. */
  folders?: readonly Folder[]
  /** Its name there, for a port; `undefined` where there can be none. Default as the system has it. */
  nameOf?: (port: number) => string | undefined
  /** Milliseconds between two looks at whether it is still there. Default 5,000. */
  rescan?: number
}

/** The defaults of `LocalSocketOptions`. */
export const DEFAULTS = { rescan: 5_000 } satisfies Partial<LocalSocketOptions>

/**
 * The Unix socket by which programs of this host ask the daemon: the kernel proves to them who answers. It is opened by
 * who has TCP of the designated port, and closed before that is given up. Without it the daemon is as true, only slower
 * to ask; so it is tried again where it cannot be had, and made again where it was removed.
 */
export class LocalSocket {
  readonly #options: LocalSocketOptions
  #server: Server | undefined
  #path: string | undefined
  /** The last path that it had. */
  #last: string | undefined
  #inode: number | undefined
  #rescan: NodeJS.Timeout | undefined

  constructor(options: LocalSocketOptions) {
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

  /** Opens it for a port, in the first folder that can be had. It never fails. */
  async open(port: number): Promise<void> {
    const { rescan = DEFAULTS.rescan, nameOf = socketName } = this.#options
    const name = nameOf(port)
    if (name === undefined) return
    clearInterval(this.#rescan)
    this.#rescan = setInterval(() => void this.#check(name), rescan).unref()
    await this.#openAs(name)
  }

  close(): void {
    clearInterval(this.#rescan)
    this.#rescan = this.#last = undefined
    this.#closeSocket()
  }

  async #openAs(name: string): Promise<void> {
    const { folders = socketFolders() } = this.#options
    for (const folder of folders) {
      try {
        makeFolder(folder)
        return await this.#bind(join(folder.path, name))
      } catch (error) {
        debug('%s: %s', folder.path, (error as Error).message)
      }
    }
  }

  async #check(name: string): Promise<void> {
    if (this.#path !== undefined && inodeOf(this.#path) === this.#inode) return
    // A socket that is closed removes what has its path by then.
    this.#closeSocket()
    await this.#openAs(name)
  }

  #closeSocket(): void {
    this.#server?.close()
    this.#server = this.#path = this.#inode = undefined
  }

  async #bind(path: string): Promise<void> {
    const { ref, connected } = this.#options
    const rescan = this.#rescan
    const server = createServer({ allowHalfOpen: true }, connected)
    if (!ref) server.unref()
    // A daemon that had the port before may have been killed.
    remove(path)
    server.listen({ path, exclusive: true, readableAll: true, writableAll: true, backlog: BACKLOG })
    await once(server, 'listening')
    server.on('error', error => debug('%s: %s', path, error.message))
    // Meanwhile it may have been closed.
    if (this.#rescan !== rescan || this.#server) return void server.close()
    this.#server = server
    this.#path = this.#last = path
    this.#inode = inodeOf(path)
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

/** The inode of a file; `undefined` if it is not there, or if something else than a folder is in its way. */
function inodeOf(path: string): number | undefined {
  try {
    return lstatSync(path).ino
  } catch {
    return undefined
  }
}
