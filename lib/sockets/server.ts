import net, { type AddressInfo, type ServerOpts, type Socket } from 'node:net'
import { listenCall, type ListenNameOptions, type ListenOptions } from '../options/listen.ts'
import type { Listenable } from '../node/adopt.ts'
import { callable, type CallableClass } from '../node/callable.ts'
import { monikerOf, publish, type NamedAddress } from './listener.ts'
import type { Moniker } from '../resolution.ts'

/**
 * A `net.Server` whose `listen` takes a name where it takes a port. `'listening'` comes when the name
 * is registered; `close` withdraws the name first. Emits `'unregistered'` with the reason when the
 * name is lost (the daemon has gone, say), and `'registered'` when it is held again.
 */
class MonikerServer extends net.Server {
  override listen(name: string, backlog?: number, listener?: () => void): this
  override listen(name: string, listener?: () => void): this
  override listen(port?: number, hostname?: string, backlog?: number, listener?: () => void): this
  override listen(port?: number, hostname?: string, listener?: () => void): this
  override listen(port?: number, backlog?: number, listener?: () => void): this
  override listen(port?: number, listener?: () => void): this
  override listen(path: string, backlog?: number, listener?: () => void): this
  override listen(path: string, listener?: () => void): this
  override listen(handle: Listenable, backlog?: number, listener?: () => void): this
  override listen(handle: Listenable, listener?: () => void): this
  // Last, as it is by the last that the compiler says what is wrong with a call.
  override listen(options: ListenOptions, listener?: () => void): this
  override listen(...args: unknown[]): this {
    const call = listenCall(args)
    if (call) publish(this, call, (options, callback) => super.listen(options, callback))
    else Reflect.apply(super.listen, this, args)
    return this
  }

  /** The address, and as `moniker` the name, of a server that has one. `null` unless it listens. */
  override address(): (AddressInfo & Partial<NamedAddress>) | string | null {
    return super.address()
  }

  /** The name of this server; `undefined` if it has none. */
  get moniker(): Moniker | undefined {
    return monikerOf(this)
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
  if (call) publish(server, call, (options, callback) => server.listen(options, callback))
  else Reflect.apply(server.listen, server, args)
  return server
}
