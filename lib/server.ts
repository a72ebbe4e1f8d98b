import net, { type AddressInfo, type ListenOptions, type ServerOpts, type Socket } from 'node:net'
import createDebug from 'debug'
import { listenCall, type ListenCall, type ListenNameOptions } from './args.ts'
import { callable, type CallableClass } from './callable.ts'
import type { MonikerError } from './errors.ts'
import { format } from './name.ts'
import type { Offer } from './protocol.ts'
import { Registrar, type Lease } from './registrar.ts'
import type { Moniker } from './socket.ts'

const debug = createDebug('moniker:server')

/** The address of a server that is known by a name. */
export interface NamedAddress extends AddressInfo {
  /** Such as `starwars@1.2.0`. */
  readonly moniker: string
}

/**
 * A `net.Server` whose `listen` takes a name where it takes a port. `'listening'` comes when the name
 * is registered; `close` withdraws the name first. Emits `'unregistered'` with the reason if the
 * daemon goes, and with it the name.
 */
class MonikerServer extends net.Server {
  override listen(name: string, backlog?: number, listener?: () => void): this
  override listen(name: string, listener?: () => void): this
  override listen(options: ListenNameOptions, listener?: () => void): this
  override listen(port?: number, hostname?: string, backlog?: number, listener?: () => void): this
  override listen(port?: number, hostname?: string, listener?: () => void): this
  override listen(port?: number, backlog?: number, listener?: () => void): this
  override listen(port?: number, listener?: () => void): this
  override listen(path: string, backlog?: number, listener?: () => void): this
  override listen(path: string, listener?: () => void): this
  override listen(options: ListenOptions, listener?: () => void): this
  override listen(handle: unknown, backlog?: number, listener?: () => void): this
  override listen(handle: unknown, listener?: () => void): this
  override listen(...args: unknown[]): this {
    const call = listenCall(args)
    if (call) publish(this, call)
    else Reflect.apply(super.listen, this, args)
    return this
  }

  /** What name this server is known by; `undefined` if by none. */
  get moniker(): Moniker | undefined {
    return publications.get(this)?.moniker
  }
}

const Callable: CallableClass<typeof MonikerServer> = callable(
  MonikerServer,
  (self, args) => void Reflect.apply(net.Server, self, args),
)
type Callable = MonikerServer
export { Callable as MonikerServer, MonikerServer as ServerClass }

/** A server that listens on a name, or on anything that a server of `net` does. */
export function createServer(listener?: (socket: Socket) => void): MonikerServer
export function createServer(
  options?: ServerOpts,
  listener?: (socket: Socket) => void,
): MonikerServer
export function createServer(...args: unknown[]): MonikerServer {
  return Reflect.construct(Callable, args) as MonikerServer
}

/**
 * Makes any server of `net`, `http`, `https`, `http2` or `tls` listen on a name, and returns it. All
 * that is said of `MonikerServer` is true of it from then on, until it is closed.
 */
export function listen<S extends net.Server>(server: S, name: string, listener?: () => void): S
export function listen<S extends net.Server>(
  server: S,
  name: string,
  backlog?: number,
  listener?: () => void,
): S
export function listen<S extends net.Server>(
  server: S,
  options: ListenNameOptions,
  listener?: () => void,
): S
export function listen<S extends net.Server>(server: S, ...args: unknown[]): S {
  const call = listenCall(args)
  if (call) publish(server, call)
  else Reflect.apply(server.listen, server, args)
  return server
}

const publications = new WeakMap<net.Server, Publication>()

/** Binds first and registers what was bound: nobody can take the port in between. */
function publish(server: net.Server, call: ListenCall): void {
  // An earlier one that never came to listen has nothing to withdraw.
  if (!server.listening) publications.get(server)?.restore()
  const publication = server.listening ? undefined : new Publication(server, call)
  try {
    server.listen(call.options, call.callback)
  } catch (error) {
    publication?.restore()
    throw error
  }
}

/**
 * A name on its way to, or in, the registry, for one server. While it lasts, the server's `emit`,
 * `close` and `address` are ours; afterwards they are its own again.
 */
class Publication {
  readonly #server: net.Server
  readonly #call: ListenCall
  readonly #giveUp = new AbortController()
  readonly #restore: (() => void)[] = []
  readonly #emit: net.Server['emit']
  readonly #close: net.Server['close']
  #lease: Lease | undefined
  #state: 'binding' | 'registering' | 'registered' | 'failed' | 'closing' = 'binding'

  constructor(server: net.Server, call: ListenCall) {
    this.#server = server
    this.#call = call
    this.#emit = server.emit
    this.#close = server.close
    const { address } = server
    this.#shadow('emit', (event: string, ...args: unknown[]) => this.#emitted(event, args))
    this.#shadow('close', (callback?: (error?: Error) => void) => this.#withdraw(callback))
    this.#shadow('address', () => this.#named(address.call(server)))
    publications.set(server, this)
  }

  get moniker(): Moniker {
    return { ...this.#call.name, host: '' }
  }

  /** Gives the server its own methods back. */
  restore(): void {
    for (const restore of this.#restore.splice(0)) restore()
    publications.delete(this.#server)
  }

  #shadow(method: 'emit' | 'close' | 'address' | 'listening', replacement: unknown): void {
    const own = Object.getOwnPropertyDescriptor(this.#server, method)
    Object.defineProperty(this.#server, method, {
      value: replacement,
      configurable: true,
      writable: true,
    })
    this.#restore.push(() => {
      if (own) Object.defineProperty(this.#server, method, own)
      else Reflect.deleteProperty(this.#server, method)
    })
  }

  /** Holds `'listening'` back until the name is registered. */
  #emitted(event: string, args: unknown[]): boolean {
    if (event === 'listening' && this.#state === 'binding') {
      this.#state = 'registering'
      void this.#register()
      return this.#server.listenerCount(event) > 0
    }
    if (event === 'close' && this.#state === 'failed') return false
    // The server could not bind, or is closed and may listen anew.
    if (event === 'close' || (event === 'error' && this.#state === 'binding')) this.restore()
    return Reflect.apply(this.#emit, this.#server, [event, ...args]) as boolean
  }

  async #register(): Promise<void> {
    const { daemonPort } = this.#call
    try {
      const lease = await Registrar.at(daemonPort).register(this.#offer(), this.#giveUp)
      // Closed at the very moment the answer came.
      if (this.#state !== 'registering') return void lease.withdraw()
      lease.once('lost', error => this.#lost(error))
      this.#lease = lease
    } catch (error) {
      // A server that was closed meanwhile does not listen, and has not failed.
      if (this.#state === 'registering') this.#fail(error as Error)
      return
    }
    this.#state = 'registered'
    this.#server.emit('listening')
  }

  #offer(): Offer {
    const { name, shared, metadata } = this.#call
    const { address, port } = this.#server.address() as AddressInfo
    return { ...name, transport: 'tcp', port, address, shared, ...(metadata && { metadata }) }
  }

  /** As when `net` cannot bind: an `'error'`, and a server that does not listen and did not close. */
  #fail(error: Error): void {
    this.#state = 'failed'
    this.#close.call(this.#server)
    process.nextTick(() => {
      this.restore()
      this.#server.emit('error', error)
    })
  }

  #lost(error: MonikerError): void {
    debug('%s', error.message)
    this.#lease = undefined
    if (!this.#server.emit('unregistered', error)) process.emitWarning(error)
  }

  /** The name goes first: nobody is sent to a port that is closed, or somebody else's by then. */
  #withdraw(callback?: (error?: Error) => void): net.Server {
    const server = this.#server
    const lease = this.#lease
    this.#giveUp.abort()
    if (this.#state === 'closing') {
      if (callback) server.once('close', () => callback(notRunning()))
      return server
    }
    this.#state = 'closing'
    if (!lease) {
      this.#close.call(server, callback)
    } else {
      this.#shadow('listening', false)
      if (callback) server.once('close', callback)
      void lease.withdraw().then(() => this.#close.call(server))
    }
    return server
  }

  #named(address: AddressInfo | string | null): NamedAddress | string | null {
    if (typeof address !== 'object' || !address) return address
    return { ...address, moniker: format(this.#call.name) }
  }
}

/** What `net` says to a second `close`. */
function notRunning(): Error {
  return Object.assign(new Error('Server is not running.'), { code: 'ERR_SERVER_NOT_RUNNING' })
}
