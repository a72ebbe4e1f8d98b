import { once } from 'node:events'
import { connect, createServer, type AddressInfo, type Server, type Socket } from 'node:net'
import { LOOPBACK, isIP, isLoopback, isNumeric, plain } from '../address.ts'
import { timeLimit } from '../clock.ts'
import { diagnostics } from '../diagnostics.ts'
import { hasCode, isMissing } from '../errors.ts'
import { LocalServer } from '../node/localserver.ts'
import { socketFolders, socketName } from '../node/localsocket.ts'
import { Datagrams, type UDPOptions } from './udp.ts'

const debug = diagnostics('moniker:daemon')

export interface PortOptions extends UDPOptions {
  /** The designated port; 0 is any free one. */
  port: number
  /** The addresses to bind. */
  hosts: readonly string[]
  /**
   * True if this host need not have any address but the first; else it need not have those of its loopback interface.
   */
  embedded: boolean
  /** True if it keeps the process alive. */
  ref: boolean
  /** Called with each connection that comes over TCP. */
  connected: (socket: Socket) => void
  /** Called with each that comes over the Unix socket. */
  asked: (socket: Socket) => void
}

/** The holder of the port: none yet or any more, soon we, we, or a daemon that has asked for it. */
type Phase = 'closed' | 'opening' | 'open' | { readonly givenTo: object }

/** The designated port of a host, over TCP and UDP, and the Unix socket that goes with it. */
export class DesignatedPort {
  readonly #options: PortOptions
  readonly #servers: Server[] = []
  #datagrams: Datagrams
  /** The Unix socket by which programs of this host ask. */
  readonly #local: LocalServer
  #number: number
  #phase: Phase = 'closed'

  constructor(options: PortOptions) {
    this.#options = options
    this.#number = options.port
    this.#datagrams = new Datagrams(options)
    this.#local = new LocalServer({ make: () => this.#makeLocal(), folders: socketFolders() })
  }

  /** Its number; known for certain once it is open. */
  get number(): number {
    return this.#number
  }

  /** The addresses that are answered at by UDP. */
  get addresses(): string[] {
    return this.#datagrams.addresses
  }

  /** The addresses at which another program has the port of UDP. */
  get lost(): string[] {
    return this.#datagrams.lost
  }

  /** The path of its Unix socket, also while that is lost; `undefined` if it has never had one. */
  get path(): string | undefined {
    return this.#local.path ?? this.#local.lost
  }

  /** True if all of it is bound. */
  get isOpen(): boolean {
    return this.#phase === 'open'
  }

  /** Binds it. Fails with `EADDRINUSE` if it is taken; what has been bound by then is to be closed. */
  async open(): Promise<void> {
    this.#phase = 'opening'
    try {
      await this.#bindAll()
    } catch (error) {
      const isAnyLeft = this.#options.port === 0 && this.#number !== 0
      if (!isAnyLeft || !hasCode(error, 'EADDRINUSE')) throw error
      // Of any free port asked for, the one found over TCP was taken over UDP: another, then.
      void this.#unbind()
      this.#number = 0
      return this.open()
    }
    if (this.#phase === 'opening') this.#phase = 'open'
    debug('answering on port %d, and by UDP at %s', this.number, this.addresses)
  }

  /** Frees it for the daemon behind `successor`. Connections stay. */
  giveUp(successor: object): void {
    this.#phase = { givenTo: successor }
    void this.#unbind()
  }

  /** True from the time it is given to `successor` until it is taken back, given to another, or closed. */
  isGivenTo(successor: object): boolean {
    return typeof this.#phase === 'object' && this.#phase.givenTo === successor
  }

  /**
   * Binds it again, as `successor` has gone or has not bound it. Resolves to false if somebody has it. Fails
   * as `open` does.
   */
  async takeBack(successor: object): Promise<boolean> {
    if (!this.isGivenTo(successor)) return true
    // Some systems let us bind an address where another has bound all of them.
    const isThere = await isTaken(this.number)
    // Meanwhile another daemon may have asked for it, or it may have been closed.
    if (!this.isGivenTo(successor)) return true
    if (!isThere) await this.open()
    return !isThere
  }

  /** Frees it for good; done when all connections that came by it have closed. */
  async close(): Promise<void> {
    this.#phase = 'closed'
    await this.#unbind()
  }

  async #unbind(): Promise<void> {
    // Before TCP: whoever has that next makes a socket of the same name.
    this.#local.close()
    this.#datagrams.close()
    this.#datagrams = new Datagrams(this.#options)
    await Promise.all(
      this.#servers.splice(0).map(server => new Promise(resolve => server.close(resolve))),
    )
  }

  /** The server at the Unix socket, which asks of its programs no more than that they are of this host. */
  #makeLocal(): Server {
    const { ref, asked } = this.#options
    const server = createServer({ allowHalfOpen: true }, asked)
    return ref ? server : server.unref()
  }

  async #bindAll(): Promise<void> {
    const { hosts, embedded } = this.#options
    for (const host of hosts)
      await this.#bindIfThere(host, host === hosts[0] || !(embedded || isLoopback(host)))
    // A daemon that has but other addresses is not asked for this host.
    if (hosts.some(host => LOCAL.includes(host))) await this.#local.open(socketName(this.number))
    if (this.#phase !== 'opening') this.#local.close()
  }

  /**
   * A host without IPv6 has all the same addresses of IPv4. One that was asked for must be there, but
   * those of other programs may come and go.
   */
  async #bindIfThere(host: string, needed: boolean): Promise<void> {
    try {
      await this.#bind(host)
    } catch (error) {
      if (!isMissing(error)) throw error
      if (host === '::') await this.#bind('0.0.0.0')
      else if (needed) throw error
    }
  }

  async #bind(host: string): Promise<void> {
    const { ref, connected } = this.#options
    assertName(host)
    const server = createServer({ allowHalfOpen: true }, connected)
    if (!ref) server.unref()
    server.listen({ port: this.number, host, exclusive: true, backlog: BACKLOG })
    await once(server, 'listening')
    // A connection that the system could not give us, for want of memory, say. There will be others.
    server.on('error', error => debug('%s: %s', host, error.message))
    // Meanwhile it may have been given up.
    if (this.#phase !== 'opening') return void server.close()
    this.#servers.push(server)
    const { address, port } = server.address() as AddressInfo
    this.#number = port
    try {
      // A host may be a name: UDP has the address that it stands for.
      await this.#datagrams.bind(port, isIP(host) ? host : plain(address))
    } catch (error) {
      // Without UDP the daemon is as true, only slower to ask.
      if (this.#options.port === 0) throw error
      debug('no UDP at %s: %s', host, (error as Error).message)
    }
  }
}

/** The addresses of which one is asked by programs of this host, or all that stand for it. */
const LOCAL: readonly string[] = ['::', '0.0.0.0', LOOPBACK[0]!]

/**
 * The most connections that wait to be taken, if the system lets them: after a restart all programs
 * come back, and one that is turned away waits a second before it tries again.
 */
const BACKLOG = 4_096

/** Milliseconds for which another daemon is looked for on the port. */
const PATIENCE = 1_000

/** Throws `ENOTFOUND` on a short, octal or hexadecimal form of IPv4, which the system would take for an address. */
function assertName(hostname: string): void {
  if (!isNumeric(hostname) || isIP(hostname)) return
  const error = new Error(`${hostname} is a number, and no address`)
  throw Object.assign(error, { code: 'ENOTFOUND', hostname })
}

/** True if a program listens on a port of 127.0.0.1. */
function isTaken(port: number): Promise<boolean> {
  const socket = connect({ port, host: LOOPBACK[0]! })
  return once(socket, 'connect', { signal: timeLimit(PATIENCE) })
    .then(() => true)
    .catch((error: unknown) => !hasCode(error, 'ECONNREFUSED'))
    .finally(() => socket.destroy())
}
