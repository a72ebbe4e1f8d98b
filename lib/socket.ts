import { channel } from 'node:diagnostics_channel'
import dns from 'node:dns'
import net, {
  isIP,
  type LookupFunction,
  type NetConnectOpts,
  type SocketConnectOpts,
  type SocketConstructorOpts,
} from 'node:net'
import createDebug from 'debug'
import { isThisHost } from './address.ts'
import {
  connectCall,
  detour,
  pick,
  targetIn,
  type ConnectCall,
  type ConnectNameOptions,
} from './args.ts'
import { callable, type CallableClass } from './callable.ts'
import { format } from './name.ts'
import type { Endpoint } from './protocol.ts'
import { Resolver, type Resolution } from './resolver.ts'

const debug = createDebug('moniker:socket')

/** What name a socket has gone to, or a server is known by. */
export interface Moniker {
  readonly namespace: string
  readonly service: string
  /** The version found, or offered. */
  readonly version: string
  /** The host as it was asked for; `''` is this one. */
  readonly host: string
}

export type ConnectOptions = (ConnectNameOptions & Partial<NetConnectOpts>) | NetConnectOpts

/** A name that a socket goes to whatever `connect` says, beside every option of `net.Socket`. */
export type SocketOptions = Partial<ConnectNameOptions> & SocketConstructorOpts

const resolver = new Resolver()

/** Where `net` tells of each socket that is to connect; before Node 22, `net.connect` alone does. */
const created = channel('net.client.socket')
const isTold = Number.parseInt(process.versions.node, 10) >= 22

/** Never a real host: the look-up that is given beside it does not answer. */
const PLACEHOLDER = { host: 'moniker.invalid', port: 1, family: 4, lookup: () => {} }

/** The question each socket waits for; what is not in the object itself is there without `new` too. */
const questions = new WeakMap<net.Socket, AbortController>()

/** The sockets that were made for a name. */
const targets = new WeakMap<net.Socket, ConnectNameOptions>()

/**
 * A `net.Socket` whose `connect` takes a name where it takes a port. From that call on it is a
 * connecting socket: what is written waits, and `end`, `destroy`, `setTimeout`, `ref` and the like
 * work as they do while `net` looks a host up. Emits `'resolve'` with the endpoint, once, before
 * `'connect'`. Errors have the codes of `net`, and `reason`, `service` and `host`; see `MonikerError`.
 *
 * One made with a `service` goes there whatever port or path `connect` is told, as a driver tells
 * the socket it was handed; the host is that of the options, else that of `connect`.
 */
// oxlint-disable-next-line no-unsafe-declaration-merging -- both members exist; only their types are widened
class MonikerSocket extends net.Socket {
  /** What name this socket has gone to; `undefined` until it is resolved, or if it went to a port. */
  declare moniker: Moniker | undefined

  constructor(options?: SocketOptions) {
    super(options)
    aim(this, options)
  }

  override connect(target: string | URL, listener?: () => void): this
  override connect(target: string, host: string, listener?: () => void): this
  override connect(
    options: ConnectNameOptions & Partial<SocketConnectOpts>,
    listener?: () => void,
  ): this
  override connect(options: SocketConnectOpts, listener?: () => void): this
  override connect(port: number, host: string, listener?: () => void): this
  override connect(port: number, listener?: () => void): this
  override connect(...args: unknown[]): this {
    abandon(this)
    this.moniker = undefined
    const target = targets.get(this)
    const call = connectCall(args) ?? (target && detour(target, args))
    if (call) begin(this, call)
    else Reflect.apply(super.connect, this, args)
    return this
  }

  override _destroy(error: Error | null, callback: (error?: Error | null) => void): void {
    abandon(this)
    super._destroy(error, callback)
  }
}

function aim(socket: net.Socket, options: unknown): void {
  const target = targetIn(options)
  if (target) targets.set(socket, target)
}

function abandon(socket: net.Socket): void {
  questions.get(socket)?.abort()
  questions.delete(socket)
}

/**
 * Makes a connecting socket of this one without a place to connect to: `net` then makes the handle,
 * checks the options, and does for us all that it does during the look-up of a host.
 */
function begin(socket: MonikerSocket, { name, options, callback }: ConnectCall): void {
  const { lookup, host = '', resolver: own = resolver, ...others } = options
  // What is no look-up at all, `net` says at once, where it would have used it.
  const isBad = lookup && typeof lookup !== 'function' && !isIP(host)
  const place = { ...PLACEHOLDER, ...(isBad && { lookup }) }
  dial(socket, { ...others, path: undefined, ...place }, callback)
  Object.assign(socket, { _host: null })

  const question = new AbortController()
  questions.set(socket, question)
  const isWanted = () => questions.get(socket) === question && socket.connecting
  const found = own.resolve(name, {
    ...pick(options, ['daemonPort', 'also', 'transports', 'wait', 'family', 'hints']),
    ...(host && { host }),
    ...((lookup || !isThisHost(host)) && { lookup: reported(socket, host, lookup) }),
    signal: question.signal,
  })
  const go = ({ name: found, endpoints }: Resolution) => {
    if (!isWanted()) return
    const endpoint = endpoints[0]!
    const { address, port, version } = endpoint
    debug('%s at %s is port %d of %s', format(found), host || 'this host', port, address)
    socket.moniker = { ...found, version, host }
    if (!lookup && isThisHost(host))
      socket.emit('lookup', null, address, isIP(address), 'localhost')
    socket.emit('resolve', endpoint)
    // A listener may have destroyed the socket, or sent it elsewhere.
    if (isWanted()) dial(socket, { ...others, path: undefined, host: address, port })
  }
  found.then(go, (error: Error) => isWanted() && socket.destroy(error))
}

/** As `net` connects, whatever class `socket` is of. */
function dial(socket: net.Socket, options: object, callback?: () => void): void {
  Reflect.apply(net.Socket.prototype.connect, socket, [options, callback])
}

/** A look-up that says what it found by the event `'lookup'`, as `net` does. */
function reported(
  socket: net.Socket,
  host: string,
  lookup: LookupFunction = dns.lookup as LookupFunction,
): LookupFunction {
  return (asked, options, callback) =>
    lookup(asked, options, (error, found, family) => {
      const all = Array.isArray(found) ? found : [{ address: found, family }]
      for (const one of error ? [{ address: undefined, family: undefined }] : all) {
        socket.emit('lookup', error, one.address, one.family, host || 'localhost')
      }
      callback(error, found, family)
    })
}

// As an event map of an interface cannot be widened, the one event more is declared beside it.
// oxlint-disable-next-line no-unsafe-declaration-merging
interface MonikerSocket {
  on: net.Socket['on'] & ((event: 'resolve', listener: (endpoint: Endpoint) => void) => this)
  once: net.Socket['once'] & ((event: 'resolve', listener: (endpoint: Endpoint) => void) => this)
}

const Callable: CallableClass<typeof MonikerSocket> = callable(MonikerSocket, (self, [options]) => {
  net.Socket.call(self, options)
  aim(self, options)
})
type Callable = MonikerSocket
export { Callable as MonikerSocket, MonikerSocket as SocketClass }

/** A socket on its way to a name, or to anything that `net.connect` takes. */
export function connect(target: string | URL, listener?: () => void): MonikerSocket
export function connect(target: string, host: string, listener?: () => void): MonikerSocket
export function connect(options: ConnectOptions, listener?: () => void): MonikerSocket
export function connect(port: number, host: string, listener?: () => void): MonikerSocket
export function connect(port: number, listener?: () => void): MonikerSocket
export function connect(...args: unknown[]): MonikerSocket {
  const [first] = args
  const options =
    typeof first === 'object' && first !== null && !(first instanceof URL) ? first : {}
  const socket = new Callable(options)
  // The name is for this time; a later `connect` of the socket says where that one goes.
  targets.delete(socket)
  if (!isTold && created.hasSubscribers) created.publish({ socket })
  const { timeout } = options as { timeout?: number }
  if (timeout) socket.setTimeout(timeout)
  return Reflect.apply(socket.connect, socket, args) as MonikerSocket
}
