import dgram, {
  type BindOptions,
  type RemoteInfo,
  type SocketOptions,
  type SocketType,
} from 'node:dgram'
import { isIPv4, type ListenOptions, type LookupFunction } from 'node:net'
import { isIP, plain } from '../address.ts'
import { clearTimeout, nextTick, setTimeout } from '../clock.ts'
import {
  connectCall,
  type Call,
  type ConnectNameOptions,
  type TargetOptions,
} from '../options/connect.ts'
import { diagnostics } from '../diagnostics.ts'
import { listenCall, type ListenNameOptions } from '../options/listen.ts'
import { cancellable } from '../async.ts'
import { choose } from '../client/filter.ts'
import { ASKED, bad, pick } from '../options/options.ts'
import { MonikerError } from '../errors.ts'
import { redirectDatagrams } from '../node/datagram.ts'
import { builtins } from '../node/builtins.ts'
import { format, type Name } from '../name.ts'
import { monikerOf, notRunning, publish } from './listener.ts'
import { resolver } from '../client/resolver.ts'
import type { Moniker, ResolveOptions, Resolution, Resolving } from '../resolution.ts'
import type { Reachable } from '../wire/protocol.ts'

const debug = diagnostics('moniker:datagram')

/** The options by which `bind` gives a socket a name, beside every option of `dgram`'s. */
export type BindNameOptions = Omit<ListenNameOptions, keyof ListenOptions> & BindOptions

/** The destination of a datagram: a service, a whole name, a URI, or options. */
export type DatagramTarget = string | URL | ConnectNameOptions

type Message = string | NodeJS.ArrayBufferView | readonly unknown[]
type Sent = (error: Error | null, bytes: number) => void
type OnSent = (error: Error | null, bytes?: number) => void

/** The socket of `dgram`, whose types leave the constructor out. */
const Base = dgram.Socket as unknown as new (
  type: SocketType | SocketOptions,
  listener?: (message: Buffer, from: RemoteInfo) => void,
) => dgram.Socket

/**
 * A `dgram.Socket` whose `bind`, `connect` and `send` take a name where they take a port. Bound to a
 * name, `'listening'` comes when it is registered, and `close` withdraws it. A datagram to a name leaves at once where
 * the place is known for sure, and else waits for the answer: none goes to where the name is no more. Connected to a
 * name, it goes where that is by then, and emits `'resolve'` again. Errors have the codes of `dgram`, and `reason`,
 * `service` and `host`; see `MonikerError`.
 */
export class MonikerDatagram extends Base {
  readonly #family: 0 | 4 | 6
  readonly #lookup: LookupFunction | undefined
  readonly #signal: AbortSignal | undefined
  /** Aborts the question of the `connect` under way. */
  #connecting: AbortController | undefined
  #connected: Moniker | undefined
  /** The call by which it is connected, and where that has led. */
  #link: Link | undefined
  /** The number of datagrams that wait for the place of a name. */
  #waiting = 0
  /** False of a socket that is surely not connected: to ask `dgram` costs an error, which takes longer than to send. */
  #mayBeConnected = false
  /** The last question, and the options that it was made of. */
  #asked: { where: Call['where']; question: ResolveOptions } | undefined
  /** The place of the last datagram, and the endpoint there. */
  #last: { found: Resolution; endpoint: Reachable } | undefined

  constructor(
    type: SocketType | SocketOptions,
    listener?: (message: Buffer, from: RemoteInfo) => void,
  ) {
    super(withLookup(type), listener)
    const options: SocketOptions = typeof type === 'string' ? { type } : type
    this.#lookup = options.lookup as LookupFunction | undefined
    this.#signal = options.signal
    this.#family = options.type === 'udp4' ? 4 : options.ipv6Only ? 6 : 0
    super.once('close', () => this.#connecting?.abort())
  }

  /** The name that this socket is bound to, or else connected to. */
  get moniker(): Moniker | undefined {
    return monikerOf(this) ?? this.#connected
  }

  override bind(name: string, address?: string, listener?: () => void): this
  override bind(name: string, listener?: () => void): this
  override bind(options: BindNameOptions, listener?: () => void): this
  override bind(port?: number, address?: string, listener?: () => void): this
  override bind(port?: number, listener?: () => void): this
  override bind(listener?: () => void): this
  override bind(options: BindOptions, listener?: () => void): this
  override bind(...args: unknown[]): this {
    const call = listenCall(args)
    if (!call) return Reflect.apply(super.bind, this, args) as this
    const address = typeof args[1] === 'string' ? { address: args[1] } : {}
    const bind = (options: object, callback?: () => void) =>
      super.bind({ ...options, ...address }, callback)
    publish(this, { ...call, signal: this.#signal }, bind)
    return this
  }

  override connect(target: DatagramTarget, listener?: () => void): void
  override connect(target: string | URL, options: TargetOptions, listener?: () => void): void
  override connect(target: string, host: string, listener?: () => void): void
  override connect(
    target: string,
    host: string,
    options: TargetOptions,
    listener?: () => void,
  ): void
  override connect(port: number, address?: string, listener?: () => void): void
  override connect(port: number, listener: () => void): void
  override connect(...args: unknown[]): void {
    const call = datagramCall(args)
    if (call && this.#isClosed()) throw notRunning()
    if (this.#connecting || (call && this.#isConnected())) {
      throw alreadyConnected()
    }
    if (call) return void this.#connect(call)
    // A connect by name that failed has left these.
    if (!this.#isConnected()) this.#connected = this.#link = undefined
    this.#mayBeConnected = true
    Reflect.apply(super.connect, this, args)
  }

  override disconnect(): void {
    super.disconnect()
    this.#mayBeConnected = false
    this.#connected = this.#link = undefined
  }

  /** A place that refuses a datagram may be a name's no longer. */
  override emit(event: string | symbol, ...args: unknown[]): boolean {
    if (event === 'error' && this.#link) this.#doubt(this.#link.call)
    return super.emit(event, ...args)
  }

  override send(message: Message, to?: DatagramTarget | number, callback?: Sent): void
  override send(message: Message, to: string | URL, options: TargetOptions, callback?: Sent): void
  override send(message: Message, to?: string | number, host?: string, callback?: Sent): void
  override send(message: Message, callback?: Sent): void
  override send(
    message: Message,
    offset: number,
    length: number,
    to?: DatagramTarget | number,
    callback?: Sent,
  ): void
  override send(
    message: Message,
    offset: number,
    length: number,
    to?: string | number,
    host?: string,
    callback?: Sent,
  ): void
  override send(message: Message, offset: number, length: number, callback?: Sent): void
  override send(message: unknown, ...args: unknown[]): void {
    const isCut = typeof args[0] === 'number' && typeof args[1] === 'number'
    if (typeof args[isCut ? 2 : 0] === 'number') return this.#send(message, args)
    const to = isCut ? args.slice(2) : args
    const cut = isCut ? args.slice(0, 2) : NOTHING
    const call = datagramCall(to)
    if (!call) {
      const link = this.#linkOf(message, to)
      return link ? this.#sendOn(link, message, cut, to[0] as OnSent) : this.#send(message, args)
    }
    // `dgram` says at once, and in its own words, that something cannot be sent at all.
    const isOver = this.#waiting > 0 && this.#isClosed()
    if (!isMessage(message) || isOver || this.#isConnected()) return this.#send(message, [0, 0, 1])
    const { callback, net } = call
    this.#when(call, callback, found => {
      const endpoint = this.#endpointIn(choose(found, net.select))
      if (endpoint instanceof Error) return this.#failed(endpoint, callback)
      destination = endpoint.address
      try {
        this.#send(message, [...cut, endpoint.port, endpoint.address, callback])
      } finally {
        destination = undefined
      }
    })
  }

  #send(message: unknown, args: readonly unknown[]): void {
    super.send(message as string, ...(args as []))
  }

  /** The link that a datagram goes by, if it goes by one: `dgram` itself refuses what is no such call. */
  #linkOf(message: unknown, [callback, ...others]: readonly unknown[]): Link | undefined {
    const isCall = callback === undefined || typeof callback === 'function'
    const isSendable = isCall && others.length === 0 && isMessage(message)
    return isSendable && this.#isConnected() ? this.#link : undefined
  }

  /** Sends to where the name of a connected socket is by now. */
  #sendOn(
    link: Link,
    message: unknown,
    cut: readonly unknown[],
    callback: OnSent | undefined,
  ): void {
    const onSent: OnSent = (error, bytes) => {
      if (error) this.#doubt(link.call)
      callback?.(error, bytes)
    }
    this.#when(link.call, callback, found => {
      if (this.#link !== link) return this.#failed(disconnected(), callback)
      const error = this.#follow(link, found)
      if (error) this.#failed(error, callback)
      else this.#send(message, [...cut, onSent])
    })
  }

  /** Has a connected socket go where its name is, unless that is where it goes. Returns the error if it cannot. */
  #follow(link: Link, resolution: Resolution): Error | undefined {
    const { select } = link.call.net
    if (!select && resolution.endpoints.some(one => isSame(one, link.endpoint))) return undefined
    const endpoint = this.#reachable(choose(resolution, select))
    if (endpoint instanceof Error) return endpoint
    if (isSame(endpoint, link.endpoint)) return undefined
    const { address, port, version, source } = endpoint
    try {
      redirectDatagrams(this, port, address)
    } catch (error) {
      return error as Error
    }
    debug('%s has moved to port %d of %s', format(link.call.name), port, address)
    link.endpoint = endpoint
    this.#connected = { ...this.#connected!, version, source }
    nextTick(() => this.emit('resolve', endpoint))
    return undefined
  }

  /** Calls `go` with the place of a name: at once if it is known, else when it is, unless too much waits. */
  #when(call: Call, callback: OnSent | undefined, go: (found: Resolution) => void): void {
    const { name, net } = call
    const { resolver: own = resolver } = net
    const isFull = this.#waiting >= MAX_WAITING
    // One that waits for its name has a question of its own.
    if (isFull && net.wait) return this.#failed(tooMany(call), callback)
    const limit = limitOf(call)
    const found = placeFor(own, name, this.#questionOf(call, limit.signal))
    if (!(found instanceof Promise)) {
      limit.free()
      return go(found)
    }
    // Of a place that is known `dgram` itself says so.
    if (this.#isClosed()) {
      found.catch(() => {})
      limit.free()
      throw notRunning()
    }
    if (!isFull) this.#waiting++
    cancellable(found, limit.signal)
      .then(resolution => isFull || this.#isClosed() || go(resolution))
      .catch((error: Error) => isFull || this.#isClosed() || this.#failed(error, callback))
      .finally(() => {
        limit.free()
        if (!isFull) this.#waiting--
      })
    if (isFull) this.#failed(tooMany(call), callback)
  }

  #doubt(call: Call): void {
    const { resolver: own = resolver } = call.net
    own.doubt?.(call.name, this.#questionOf(call))
  }

  async #connect(call: Call): Promise<void> {
    const { name, net: options, callback } = call
    const { resolver: own = resolver } = options
    this.#connecting = new AbortController()
    const limit = limitOf(call, this.#connecting.signal)
    try {
      const question = this.#questionOf(call, limit.signal)
      // It is known for the first datagram then.
      const found = await cancellable(Promise.resolve(placeFor(own, name, question)), limit.signal)
      const endpoint = this.#reachable(choose(found, options.select))
      if (endpoint instanceof Error) throw endpoint
      // In a turn of its own: an error that a listener throws is not ours to catch.
      nextTick(() => this.#resolved(found, endpoint, call))
    } catch (error) {
      this.#connecting = undefined
      if (!this.#isClosed()) this.#failed(error as Error, callback)
    } finally {
      limit.free()
    }
  }

  #resolved({ name, host }: Resolution, endpoint: Reachable, call: Call): void {
    if (this.#isClosed()) return
    const { callback, rest } = call
    const { address, port, version, source } = endpoint
    debug('%s at %s is port %d of %s', format(name), host || 'this host', port, address)
    this.#connected = { ...name, version, host, source, ...rest }
    try {
      this.emit('resolve', endpoint)
    } finally {
      this.#connecting = undefined
    }
    if (this.#isClosed()) return
    this.#link = { call, endpoint }
    this.#mayBeConnected = true
    super.connect(port, address, callback)
  }

  /* c8 ignore start -- Node 26 has such calls, and their tests run there. */
  static {
    for (const method of ['bindSync', 'connectSync'] as const) {
      const own = Reflect.get(dgram.Socket.prototype, method) as Function | undefined
      const value = function (this: MonikerDatagram, ...args: unknown[]): unknown {
        if (method === 'connectSync' && this.#connecting) throw alreadyConnected()
        const isNamed = method === 'bindSync' ? listenCall(args) : connectCall(args)
        if (method === 'connectSync') this.#mayBeConnected = true
        if (!isNamed) return Reflect.apply(own!, this, args)
        // The place of a name has to be asked for, which a call that does not wait cannot do.
        const text = `a port for ${method}, as a name has to be asked for: use ${method.slice(0, -4)}`
        throw new MonikerError('EARGUMENT', { text })
      }
      const property = { value, configurable: true, writable: true }
      if (own) Object.defineProperty(MonikerDatagram.prototype, method, property)
    }
  }
  /* c8 ignore stop */

  /** Reports an error as `dgram` reports that a look-up has failed. */
  #failed(error: Error, callback: ((error: Error) => void) | undefined): void {
    if (callback) nextTick(callback, error)
    else nextTick(() => this.emit('error', error))
  }

  /** The question. A socket of one family asks for addresses of that family alone. */
  #questionOf({ net, where }: Call, signal?: AbortSignal): ResolveOptions {
    if (this.#asked?.where !== where) {
      const { lookup = this.#lookup, family = this.#family } = net
      const own = { transports: UDP, family, ...(lookup && { lookup }) }
      this.#asked = { where, question: Object.freeze({ ...pick(net, ASKED), ...own }) }
    }
    const { question } = this.#asked
    return signal ? { ...question, signal } : question
  }

  /** The endpoint that a datagram goes to. What is recalled is the same resolution again, and has the same one. */
  #endpointIn(found: Resolution): Reachable | Error {
    if (this.#last?.found === found) return this.#last.endpoint
    const endpoint = this.#reachable(found)
    if (!(endpoint instanceof Error)) this.#last = { found, endpoint }
    return endpoint
  }

  /** The best endpoint of a family that this socket speaks, at an address that it can send to. */
  #reachable({ name, host, endpoints }: Resolution): Reachable | Error {
    const family = this.#family
    const found = endpoints.find(({ address }) => family === 0 || isIP(address) === family)
    if (!found) {
      return new MonikerError('EUNREACHABLE', {
        service: format(name),
        host: host || 'localhost',
        syscall: 'resolve',
        text: `it is at ${endpoints[0]!.address}, and this socket knows IPv${family} alone`,
      })
    }
    // A socket of both families has for each address of IPv4 one of IPv6.
    const isMapped = family === 0 && isIPv4(found.address)
    return isMapped ? { ...found, address: `::ffff:${found.address}` } : found
  }

  #isConnected(): boolean {
    try {
      return this.#mayBeConnected && Boolean(super.remoteAddress())
    } catch {
      return false
    }
  }

  #isClosed(): boolean {
    try {
      return !super.address()
    } catch (error) {
      return (error as NodeJS.ErrnoException).code === 'ERR_SOCKET_DGRAM_NOT_RUNNING'
    }
  }
}

const UDP = ['udp'] as const
const NOTHING: readonly unknown[] = []

/** The most datagrams of one socket that wait for the place of a name. */
const MAX_WAITING = 1_024

/** A connected socket's way to a name. */
interface Link {
  readonly call: Call
  endpoint: Reachable
}

function isSame(one: Reachable, other: Reachable): boolean {
  return one.port === other.port && plain(one.address) === plain(other.address)
}

/** The error of `dgram` for a socket that is no longer connected when its datagram could be sent. */
function disconnected(): Error {
  return Object.assign(new Error('Not connected'), { code: 'ERR_SOCKET_DGRAM_NOT_CONNECTED' })
}

function tooMany({ name, net: { host } }: Call): MonikerError {
  return new MonikerError('ELIMIT', {
    service: format(name),
    host: host || 'localhost',
    syscall: 'send',
    text: `${MAX_WAITING} datagrams wait for an answer`,
  })
}

/**
 * The call, if it is one by name. Throws `ERR_INVALID_ARG_VALUE` if it asks for a transport that takes no datagrams.
 */
function datagramCall(args: readonly unknown[]): Call | undefined {
  const call = connectCall(args)
  const { transports } = call?.net ?? {}
  if (transports && !transports.includes('udp')) {
    throw bad('transports', 'left out or udp, as this is a datagram socket', transports)
  }
  return call
}

/** The place of a name for datagrams, by a resolver that may remember it. */
export function placeFor(
  own: Resolving,
  name: Name,
  options: ResolveOptions,
): Resolution | Promise<Resolution> {
  return own.recall ? own.recall(name, options) : own.resolve(name, options)
}

/** The limits of a call in time: those of its `signal`, its `timeout`, and of `parent`. `free` ends the timer. */
export function limitOf(
  { name, net: { signal, timeout: ms, host } }: Call,
  parent?: AbortSignal,
): { signal?: AbortSignal; free: () => void } {
  if (!ms && !signal && !parent) return UNLIMITED
  const timer = ms ? new AbortController() : undefined
  const details = { service: format(name), host: host || 'localhost', syscall: 'resolve' }
  const abort = () => timer?.abort(new MonikerError('ESILENT', { ...details, ms: ms! }))
  const timeout = timer && setTimeout(abort, ms)
  const signals = [signal, parent, timer?.signal].filter(one => one !== undefined)
  const all = signals.length > 1 ? AbortSignal.any(signals) : signals[0]
  return { ...(all && { signal: all }), free: () => clearTimeout(timeout) }
}

/** The limits of most calls. */
const UNLIMITED = { free: () => {} }

/** The address that a datagram to a name is being sent to. */
let destination: string | undefined

/**
 * The arguments of a socket of `dgram`, with a look-up that tells of `destination` at once. The default looks up
 * addresses as well, and tells of them a turn later. A look-up of the program's own stays.
 */
function withLookup(type: SocketType | SocketOptions): SocketType | SocketOptions {
  const options = typeof type === 'string' ? { type } : type
  // `dgram` refuses what are no options.
  if (typeof options !== 'object' || !options || options.lookup !== undefined) return type
  const look = builtins.dns.lookup
  const value: SocketOptions['lookup'] = (host, family, done) => {
    // `dgram` gives the family of the socket alone.
    if (host === destination) done(null, host, family as unknown as number)
    else look(host, family, done)
  }
  return Object.create(options, { lookup: { value } }) as SocketOptions
}

/** The error of `dgram` for a second `connect`. */
function alreadyConnected(): Error {
  return Object.assign(new Error('Already connected'), { code: 'ERR_SOCKET_DGRAM_IS_CONNECTED' })
}

function isMessage(message: unknown): boolean {
  return typeof message === 'string' || ArrayBuffer.isView(message) || Array.isArray(message)
}

/** A socket for datagrams to and from names, or anything that a socket of `dgram` takes. */
export function createSocket(
  type: SocketType | SocketOptions,
  listener?: (message: Buffer, from: RemoteInfo) => void,
): MonikerDatagram {
  return new MonikerDatagram(type, listener)
}
